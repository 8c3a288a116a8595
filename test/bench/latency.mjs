/**
 * Time from write to arrival at a fixed rate, in ms: `publishers` pairs share `rate` messages a second, paced in steps of a
 * millisecond. The payload begins with the time it was written.
 */
import * as packets from "./packets.mjs"

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const nothing = Buffer.alloc(0)
const topicOf = (index) => `bench/${String(index).padStart(4, "0")}`

export const latency = async (options, { openAll, open }) => {
  const { publishers, qos, payloadBytes, rate } = options
  const template = packets.publish(topicOf(0), Buffer.alloc(payloadBytes), qos)
  const size = template.length
  const idAt = packets.packetIdOffset(size, topicOf(0))
  const timeAt = size - payloadBytes
  const times = new Float64Array(Math.ceil((rate * (options.durationMs + 1000)) / 1000) + rate)
  let count = 0
  let measuring = false

  await openAll(publishers, async (index) => {
    const client = await open(`${options.run}-s${index}`)
    await client.subscribe(topicOf(index), qos)
    let rest = nothing
    client.onBytes = (bytes, length) => {
      const now = performance.now()
      const all = rest.length === 0 ? bytes.subarray(0, length) : Buffer.concat([rest, bytes.subarray(0, length)])
      let at = 0
      for (; at + size <= all.length; at += size) {
        if (measuring && count < times.length) times[count++] = now - all.readDoubleLE(at + timeAt)
        if (qos === 1) client.write(Buffer.from([0x40, 2, all[at + idAt], all[at + idAt + 1]]))
      }
      rest = at === all.length ? nothing : Buffer.from(all.subarray(at))
    }
  })
  const senders = await openAll(publishers, async (index) => {
    const client = await open(`${options.run}-p${index}`)
    return { client, one: packets.publish(topicOf(index), Buffer.alloc(payloadBytes, "x"), qos), id: 0 }
  })

  let sent = 0
  const startedAt = performance.now()
  const send = () => {
    const due = Math.min(Math.floor(((performance.now() - startedAt) * rate) / 1000), sent + rate / 20)
    for (; sent < due; sent++) {
      const sender = senders[sent % senders.length]
      const bytes = Buffer.from(sender.one)
      if (qos === 1) {
        sender.id = (sender.id % 65535) + 1
        bytes.writeUInt16BE(sender.id, idAt)
      }
      bytes.writeDoubleLE(performance.now(), timeAt)
      sender.client.write(bytes)
    }
  }
  const pacing = setInterval(send, 1)
  await sleep(options.warmUpMs)
  measuring = true
  const cpuFrom = process.cpuUsage()
  process.stderr.write("measuring\n")
  await sleep(options.durationMs)
  process.stderr.write("measured\n")
  measuring = false
  const cpu = process.cpuUsage(cpuFrom)
  clearInterval(pacing)
  const sorted = times.subarray(0, count).sort()
  const quantile = (q) => sorted[Math.min(count - 1, Math.floor(count * q))]
  return {
    value: quantile(0.99),
    p50: quantile(0.5),
    rate: (count * 1000) / options.durationMs,
    generatorCpu: (cpu.user + cpu.system) / 1000 / options.durationMs
  }
}

/**
 * Messages delivered per second at saturation.
 *
 * Publisher i sends to topic i modulo `topics`; each topic is one group, except where `shared` puts all in one. What counts is
 * what subscribers received between two moments after a warm-up.
 */
import { Consumer } from "./Consumer.mjs"
import { Group, Publisher } from "./Publisher.mjs"
import * as packets from "./packets.mjs"

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const topicOf = (index) => `bench/${String(index).padStart(4, "0")}`

export const throughput = async (options, { openAll, open }) => {
  const { publishers, subscribers, topics, qos, window, payloadBytes, shared, persistent, groupWindow, chunkMessagesMax } =
    options
  const payload = Buffer.alloc(payloadBytes, "x")
  const size = packets.publish(topicOf(0), payload, qos).length
  const groups = Array.from({ length: shared ? 1 : topics }, () => new Group(groupWindow, shared ? 1 : subscribers / topics))
  const groupOf = (index) => groups[shared ? 0 : index % topics]

  const consumers = await openAll(subscribers, async (index) => {
    const client = await open(`${options.run}-s${index}`, { clean: !persistent })
    await client.subscribe(shared ? "$share/bench/bench/+" : topicOf(index % topics), qos)
    return new Consumer(client, groupOf(index), { topic: topicOf(index % topics), size, qos })
  })
  const senders = await openAll(publishers, async (index) => {
    const client = await open(`${options.run}-p${index}`)
    const topic = topicOf(index % topics)
    const publisher = new Publisher(client, groupOf(index), { topic, payload, qos, window, chunkMessagesMax })
    groupOf(index).publishers.push(publisher)
    return publisher
  })

  const closed = () => [...senders, ...consumers].filter((one) => one.client.closed).length
  const received = () => groups.reduce((sum, group) => sum + group.received, 0)
  const stalled = setInterval(() => {
    for (const group of groups) group.checkStalled()
  }, 500)
  for (const sender of senders) sender.pump()
  await sleep(options.warmUpMs)

  const cpuFrom = process.cpuUsage()
  const from = performance.now()
  const receivedFrom = received()
  process.stderr.write("measuring\n")
  await sleep(options.durationMs)
  const seconds = (performance.now() - from) / 1000
  const count = received() - receivedFrom
  const cpu = process.cpuUsage(cpuFrom)
  process.stderr.write("measured\n")

  clearInterval(stalled)
  for (const group of groups) group.stopped = true
  const expected = () => groups.reduce((sum, group) => sum + group.sent * group.copies, 0)
  for (let i = 0; i < 40 && received() < expected(); i++) await sleep(50)
  return {
    value: count / seconds,
    missing: Math.round(expected() - received()),
    closed: closed(),
    generatorCpu: (cpu.user + cpu.system) / 1e6 / seconds
  }
}

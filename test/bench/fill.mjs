/**
 * Fills the log: 16 publishers send QoS 1 messages of 1 KiB for a session that is away, until `bytes` are acknowledged.
 */
import { Group, Publisher } from "./Publisher.mjs"

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const payloadBytes = 1024

export const fill = async (options, { openAll, open }) => {
  const away = await open("bench-away", { clean: false })
  await away.subscribe("bench/#", 1)
  away.end()
  const messages = Math.ceil(options.bytes / payloadBytes)
  const group = new Group(messages, 1)
  const payload = Buffer.alloc(payloadBytes, "x")
  const startedAt = performance.now()
  group.publishers = await openAll(16, async (index) => {
    const client = await open(`${options.run}-p${index}`)
    return new Publisher(client, group, { topic: `bench/${String(index).padStart(4, "0")}`, payload, qos: 1, window: 500 })
  })
  group.pump()
  const acknowledged = () => group.publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0)
  while (acknowledged() < messages && performance.now() - startedAt < options.secondsMax * 1000) await sleep(50)
  return { messages: acknowledged(), seconds: (performance.now() - startedAt) / 1000 }
}

/**
 * Topic names, filters and matching: section 4.7.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, startBroker } from "./broker.js"
import { RawClient, unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const connect = (version: 3 | 4 | 5) => RawClient.connect(broker.port, version)

describe.each([4, 5] as const)("version %i", (version) => {
  it.each([
    ["sport/#", ["sport", "sport/a", "sport/a/b"], ["sports", "spor", "other/sport"]],
    ["sport/+", ["sport/", "sport/a"], ["sport", "sport/a/b"]],
    ["+/a", ["x/a", "/a"], ["a", "x/y/a"]],
    ["/+", ["/x", "/"], ["x", "/x/y"]],
    ["+/+", ["/x", "x/y", "/"], ["x", "x/y/z"]],
    ["a//b", ["a//b"], ["a/b", "a/x/b"]],
    ["a b", ["a b"], ["ab", "a%20b"]]
  ])("%s matches what it should", async (filter, matching, others) => {
    const prefix = unique()
    const watcher = await connect(version)
    await watcher.subscribe(`${prefix}/${filter}`)
    const client = await connect(version)
    for (const topic of [...others, ...matching]) await client.publish(`${prefix}/${topic}`, topic)
    for (const topic of matching) await watcher.expectPublish(`${prefix}/${topic}`, topic)
    await watcher.expectNothing()
  })

  it("a filter that begins with a wildcard does not match topics that begin with $ [MQTT3-4.7.2-1] [MQTT5-4.7.2-1]", async () => {
    const name = unique()
    const watcher = await connect(version)
    await watcher.subscribe("#")
    await watcher.subscribe(`+/${name}`)
    const named = await connect(version)
    await named.subscribe(`$test/${name}`)
    await named.subscribe(`$test/#`)
    const client = await connect(version)
    await client.publish(`$test/${name}`, "hidden")
    await named.expectPublish(`$test/${name}`, "hidden")
    await client.publish(`end/${name}`, "seen")
    for (;;) {
      const packet = await watcher.expectPacket("publish")
      expect(packet.topic.startsWith("$")).toBe(false)
      if (packet.topic === `end/${name}`) break
    }
  })

  it("$SYS is the broker's own", async () => {
    const watcher = await connect(version)
    const name = unique()
    await watcher.subscribe(`$SYS/${name}`)
    const client = await connect(version)
    await client.publish(`$SYS/${name}`, "forged", 0)
    await client.expectNothing()
    await watcher.expectNothing()
  })

  it("topics are not normalized [MQTT3-4.7.3-4] [MQTT5-4.7.3-4]", async () => {
    const prefix = unique()
    const watcher = await connect(version)
    // The same letter to the eye: composed and decomposed; upper and lower case; with and without a slash at the end.
    await watcher.subscribe([`${prefix}/\u00e9`, `${prefix}/Case`, `${prefix}/slash`, `${prefix}/\ufffd`])
    const client = await connect(version)
    for (const topic of ["e\u0301", "case", "slash/", "\ufffe"]) await client.publish(`${prefix}/${topic}`, "other")
    for (const topic of ["\u00e9", "Case", "slash", "\ufffd"]) {
      await client.publish(`${prefix}/${topic}`, "same")
      await watcher.expectPublish(`${prefix}/${topic}`, "same")
    }
    await watcher.expectNothing()
  })
})

/** A hundred thousand topics: a member that comes anew loads them from a snapshot, while the event loop goes on turning. */
import { make as makeStore } from "@effectmq/raft/MemoryRaftStore"
import * as Effect from "effect/Effect"
import { afterAll, expect, it } from "vitest"
import { apply } from "../src/core/apply.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { limits } from "../src/core/limits.js"
import { seed } from "../src/internal/seed.js"
import { command, tenant } from "./commands.js"
import { MemoryCluster, memberOf } from "./support/MemoryCluster.js"

const large = (): Image => {
  let image = apply(emptyImage, { _tag: "TenantCreated", tenant, quota: {}, createdAtMs: 1 }, 1)
  const config = { partitions: 3, cleanup: "delete", durability: "fsync", engine: "file", createdAtMs: 1 } as const
  while (image.topicsByName.size < limits.topicsMax) {
    const topicId = image.version + 1
    image = apply(image, { _tag: "TopicCreated", tenant, name: `topic-${topicId}`, topicId, ...config }, topicId)
  }
  return image
}

const cluster = new MemoryCluster([1], { submitMsMax: 25_000, syncMsMax: 25_000 })
afterAll(() => cluster.stopAll())

it("are loaded by the node that starts with them and by one that joins", { timeout: 120_000 }, async () => {
  await Effect.runPromise(seed(makeStore(cluster.contentsOf(1)), large(), new Uint8Array(32), [memberOf(1)]))
  const first = await cluster.start(1)
  await Effect.runPromise(first.usable)
  expect(first.metadata.image().topicsByName.size).toBe(limits.topicsMax)
  const second = await cluster.start(2)
  await Effect.runPromise(first.control.addNode({ ...memberOf(2), voter: true }))
  await Effect.runPromise(second.usable)
  expect(second.metadata.image().topicsByName.size).toBe(limits.topicsMax)
  const refused = await Effect.runPromise(Effect.flip(second.controller.submit(command("CreateTopic", { tenant, name: "more" }))))
  expect(refused).toMatchObject({ _tag: "LimitReached", max: limits.topicsMax })
})

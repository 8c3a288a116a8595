/** `Metadata` and `Controller` over the real stores. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as MemoryRaftStore from "@effectmq/raft/MemoryRaftStore"
import type { RaftStore } from "@effectmq/raft/RaftStore"
import * as SqliteRaftStore from "@effectmq/raft/SqliteRaftStore"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Controller, type ControllerService, stamp } from "../src/Controller.js"
import type { Delta } from "../src/core/Delta.js"
import { topicOf } from "../src/core/Image.js"
import { imageToEvents } from "../src/core/imageToEvents.js"
import { Metadata, type MetadataService } from "../src/Metadata.js"
import * as MetadataStore from "../src/MetadataStore.js"
import { anyCommand, command, tenant } from "./commands.js"

const options: MetadataStore.MetadataStoreOptions = {
  node: { nodeId: 1, name: "n", version: "0.1.0", addresses: [], roles: ["meta", "broker"] }
}

type Body<A, E> = (metadata: MetadataService, controller: ControllerService) => Effect.Effect<A, E>

const run = <A, E, E2>(
  store: Layer.Layer<RaftStore, E2>,
  body: Body<A, E>,
  more: Partial<MetadataStore.MetadataStoreOptions> = {}
): Promise<A> =>
  Effect.gen(function* () {
    return yield* body(yield* Metadata, yield* Controller)
  }).pipe(
    Effect.provide(Layer.provide(MetadataStore.layer({ ...options, ...more }), Layer.merge(store, PrometheusMeters.layerMemory))),
    (effect) => Effect.runPromise(effect as Effect.Effect<A>)
  )

interface Place {
  readonly store: () => Layer.Layer<RaftStore, unknown>
  readonly remove: () => void
}

const memoryPlace = (): Place => {
  const contents = MemoryRaftStore.emptyContents()
  return { store: () => MemoryRaftStore.layerOver(contents), remove: () => {} }
}

const sqlitePlace = (): Place & { readonly filename: string } => {
  const directory = mkdtempSync(join(tmpdir(), "effectmq-metadata-"))
  const filename = join(directory, "raft.sqlite")
  return {
    filename,
    store: () => SqliteRaftStore.layer({ filename }),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}

describe.each([
  ["MemoryRaftStore", memoryPlace],
  ["SqliteRaftStore", sqlitePlace]
] as const)("metadata over %s", (_, makePlace) => {
  let place: Place
  beforeEach(() => {
    place = makePlace()
  })
  afterEach(() => place.remove())

  it("makes cluster, default tenant and node at the first start, and keeps them", async () => {
    const look = (metadata: MetadataService) =>
      Effect.sync(() => {
        const { cluster, tenantsById, nodesById } = metadata.image()
        expect([...tenantsById.keys()]).toEqual(["default"])
        return { cluster, node: nodesById.get("1") }
      })
    const first = await run(place.store(), look)
    expect(first.cluster?.clusterId).toMatch(/^[0-9a-f]{32}$/)
    expect(first.node).toMatchObject({ name: "n", roles: ["meta", "broker"] })
    expect(await run(place.store(), look)).toEqual(first)
    const upgraded = await run(place.store(), look, { node: { ...options.node, version: "0.2.0" } })
    expect(upgraded.cluster).toEqual(first.cluster)
    expect(upgraded.node).toMatchObject({ version: "0.2.0" })
  })

  it("answers with the reply of the command, shows the change at once, and keeps it", async () => {
    const create = command("CreateTopic", { tenant, name: "orders", partitions: 2 })
    await run(place.store(), (metadata, controller) =>
      Effect.gen(function* () {
        const reply = yield* controller.submit(create)
        expect(metadata.image().version).toBe(reply.version)
        expect(topicOf(metadata.image(), tenant, "orders")).toMatchObject({ partitions: 2, topicId: reply.topicId })
        const put = yield* controller.submit({ _tag: "PutUser", ...(yield* stamp), tenant, name: "ann", superuser: false })
        expect(put.created).toBe(true)
        expect(yield* Effect.flip(controller.submit(command("DeleteUser", { tenant, name: "bob" })))).toMatchObject({
          _tag: "UnknownUser",
          message: "there is no user bob in tenant default"
        })
      })
    )
    await run(place.store(), (metadata, controller) =>
      Effect.gen(function* () {
        const topic = topicOf(metadata.image(), tenant, "orders")
        expect(topic).toBeDefined()
        const { version } = metadata.image()
        expect((yield* controller.submit(create)).topicId).toBe(topic?.topicId)
        expect(metadata.image().version).toBe(version)
      })
    )
  })

  it("rebuilds the image that was live, for random commands and snapshots at random points", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyCommand, { maxLength: 40 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 60 }),
        async (lives, snapshotEntries) => {
          const own = makePlace()
          try {
            let left: ReadonlyArray<unknown> | undefined
            for (const commands of [...lives, []]) {
              await run(
                own.store(),
                (metadata, controller) =>
                  Effect.gen(function* () {
                    // The start itself adds the last reply of RegisterNode and nothing else.
                    const found = imageToEvents(metadata.image())
                    const withoutReplies = (events: ReadonlyArray<unknown>) =>
                      events.filter((event) => (event as { readonly _tag: string })._tag !== "CommandApplied")
                    if (left !== undefined) {
                      expect(withoutReplies(found)).toEqual(withoutReplies(left))
                    }
                    yield* Effect.forEach(commands, (wish) => Effect.either(controller.submit(wish)), { concurrency: 5 })
                    left = imageToEvents(metadata.image())
                  }),
                { raft: { snapshotEntries, keptEntries: 5 } }
              )
            }
          } finally {
            own.remove()
          }
        }
      ),
      { numRuns: 12 }
    ))
})

describe("Metadata", () => {
  const memory = <A, E>(body: Body<A, E>) => run(MemoryRaftStore.layer, body)

  it("tells listeners of every change, with the image already new, until they stop", () =>
    memory((metadata, controller) =>
      Effect.gen(function* () {
        const deltas: Array<Delta> = []
        const stop = metadata.onChange((delta) => {
          expect(metadata.image()).toBe(delta.after)
          deltas.push(delta)
        })
        yield* controller.submit(command("CreateTopic", { tenant, name: "t" }))
        yield* controller.submit(command("ConfigureTopic", { tenant, name: "t", partitions: 2 }))
        yield* controller.submit(command("DeleteTopic", { tenant, name: "t" }))
        stop()
        yield* controller.submit(command("CreateTopic", { tenant, name: "u" }))
        expect(deltas.map(({ topics }) => [topics.added.size, topics.changed.size, topics.removed.size])).toEqual([
          [1, 0, 0],
          [0, 1, 0],
          [0, 0, 1]
        ])
      })
    ))

  it("streams deltas from nothing on, which together are the image", () =>
    memory((metadata, controller) =>
      Effect.gen(function* () {
        yield* controller.submit(command("CreateTopic", { tenant, name: "t0" }))
        const fiber = yield* metadata.changes.pipe(
          Stream.takeUntil((delta) => delta.after.topicsByName.has("default/t9")),
          Stream.runCollect,
          Effect.fork
        )
        for (let at = 1; at < 10; at++) yield* controller.submit(command("CreateTopic", { tenant, name: `t${at}` }))
        const deltas = [...(yield* Fiber.join(fiber))]
        expect(deltas[0]?.before.version).toBe(0)
        expect(deltas.flatMap(({ topics }) => [...topics.added.keys()]).sort()).toEqual(
          Array.from({ length: 10 }, (_, at) => `default/t${at}`)
        )
      })
    ))
})

describe("a stored event that was edited", () => {
  it("keeps the node from starting, with an error that says what to do", async () => {
    const place = sqlitePlace()
    try {
      await run(place.store(), (_, controller) =>
        controller.submit(command("PutUser", { tenant, name: "ann", superuser: false }))
      )
      const bytes = readFileSync(place.filename)
      const at = bytes.indexOf('"name":"ann"')
      expect(at).toBeGreaterThan(0)
      bytes.write('"name":"bob"', at)
      writeFileSync(place.filename, bytes)
      const start = Effect.either(
        Effect.scoped(
          Layer.build(Layer.provide(MetadataStore.layer(options), Layer.merge(place.store(), PrometheusMeters.layerMemory)))
        )
      )
      const outcome = await Effect.runPromise(start)
      expect(Either.isLeft(outcome) && outcome.left).toMatchObject({
        _tag: "RaftStoreError",
        reason: "damaged",
        message: expect.stringContaining("restore")
      })
    } finally {
      place.remove()
    }
  })
})

describe("ten thousand topics", () => {
  // About three seconds of one core, all in one test: on a machine that does much else besides, that alone may take half a minute.
  it("are made in few transactions and found again", { timeout: 90_000 }, async () => {
    const place = sqlitePlace()
    try {
      await run(
        place.store(),
        (metadata, controller) =>
          Effect.gen(function* () {
            let turns = 0
            metadata.onChange(() => turns++)
            const names = Array.from({ length: 10_000 }, (_, at) => `topic-${at}`)
            yield* Effect.forEach(names, (name) => controller.submit(command("CreateTopic", { tenant, name })), {
              concurrency: "unbounded",
              discard: true
            })
            expect(metadata.image().topicsByName.size).toBe(10_000)
            expect(turns).toBeLessThanOrEqual(20)
          }),
        { submitMsMax: 60_000 }
      )
      await run(place.store(), (metadata) => Effect.sync(() => expect(metadata.image().topicsByName.size).toBe(10_000)))
    } finally {
      place.remove()
    }
  })
})

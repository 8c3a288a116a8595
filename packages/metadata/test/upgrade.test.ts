/**
 * The data directory of release 0.1, as that release wrote it (fixtures/metadata-0.1.sqlite, with what its image was beside it),
 * goes on in a Raft store.
 */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { emptyContents, make as makeStore, type MemoryContents } from "@effectmq/raft/MemoryRaftStore"
import { RaftStore, RaftStoreError, type RaftStoreService } from "@effectmq/raft/RaftStore"
import * as SqliteRaftStore from "@effectmq/raft/SqliteRaftStore"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import { Disk, DiskError, type DiskService } from "@effectmq/storage/Disk"
import * as NodeDisk from "@effectmq/storage/NodeDisk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Controller, type ControllerService } from "../src/Controller.js"
import { imageToEvents } from "../src/core/imageToEvents.js"
import * as EventStoreImport from "../src/EventStoreImport.js"
import { Metadata, type MetadataService } from "../src/Metadata.js"
import * as MetadataStore from "../src/MetadataStore.js"
import { command, tenant } from "./commands.js"

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
const oldLines = readFileSync(fixture("metadata-0.1.jsonl"), "utf8").trimEnd().split("\n")
const oldVersion = 35
const node = { nodeId: 1, name: "node-1", version: "0.1.0", addresses: [], roles: ["meta", "broker"] } as const

let directory: string
let filename: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "effectmq-upgrade-"))
  filename = join(directory, "metadata.sqlite")
  copyFileSync(fixture("metadata-0.1.sqlite"), filename)
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const withDisk = <A, E>(effect: Effect.Effect<A, E, Disk>) => Effect.provide(effect, NodeDisk.layer)

const started = <A, E>(
  store: Layer.Layer<RaftStore, unknown, Disk>,
  body: (metadata: MetadataService, controller: ControllerService) => Effect.Effect<A, E>
): Promise<A> =>
  Effect.gen(function* () {
    return yield* body(yield* Metadata, yield* Controller)
  }).pipe(
    Effect.provide(Layer.provide(MetadataStore.layer({ node }), Layer.merge(store, PrometheusMeters.layerMemory))),
    withDisk,
    (effect) => Effect.runPromise(effect as Effect.Effect<A>)
  )

const upgraded = (store: Layer.Layer<RaftStore, RaftStoreError>) =>
  EventStoreImport.layer({ filename, member: { nodeId: 1, address: "" }, isAlone: true }, store)

const linesOf = (metadata: MetadataService) => imageToEvents(metadata.image()).map(metadataEventCodec.encode)
/** The start registers the node, now with its store. */
const withoutNode = (lines: ReadonlyArray<string>) =>
  lines.filter((line) => !line.includes("RegisterNode") && !line.includes("NodeRegistered"))

describe("the metadata of release 0.1", () => {
  it("goes on with everything it held, its sequence and its memory of commands; the old file is kept under another name", async () => {
    const store = () => upgraded(SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") }))
    const after = await started(store(), (metadata, controller) =>
      Effect.gen(function* () {
        expect(withoutNode(linesOf(metadata))).toEqual(withoutNode(oldLines))
        expect(metadata.image().nodesById.get("1")?.storeId).toBeDefined()
        // One event and one reply for the node's registration.
        expect(metadata.image().version).toBe(oldVersion + 2)
        const again = command("CreateTopic", { tenant, name: "topic-0", partitions: 1, commandId: "old-1" })
        expect(yield* controller.submit(again)).toEqual({ topicId: 7, version: 8 })
        const made = yield* controller.submit(command("CreateTopic", { tenant, name: "new" }))
        expect(made.topicId).toBe(oldVersion + 3)
        return linesOf(metadata)
      })
    )
    const files = readdirSync(directory)
    expect(files).toContain("metadata.sqlite.imported")
    expect(files).not.toContain("metadata.sqlite")
    const later = await started(store(), (metadata) => Effect.sync(() => linesOf(metadata)))
    expect(withoutNode(later)).toEqual(withoutNode(after))
  })

  it("is not mixed into a store that has metadata of its own", async () => {
    const raft = () => SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") })
    await started(raft(), (_, controller) => controller.submit(command("CreateTopic", { tenant, name: "own" })))
    await started(upgraded(raft()), (metadata) =>
      Effect.sync(() => expect([...metadata.image().topicsByName.keys()]).toEqual(["default/own"]))
    )
    expect(readdirSync(directory)).toContain("metadata.sqlite.imported")
  })

  it("is not imported by a node that is to begin with others, which is told what to do", async () => {
    const store = EventStoreImport.layer(
      { filename, member: { nodeId: 1, address: "" }, isAlone: false },
      SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") })
    )
    const outcome = await Effect.runPromise(withDisk(Effect.either(Effect.scoped(Layer.build(store)))))
    expect(Either.isLeft(outcome) && outcome.left).toMatchObject({
      _tag: "ImportRefused",
      message: expect.stringContaining("itself alone in cluster.nodes")
    })
    expect(readdirSync(directory)).toContain("metadata.sqlite")
    // Alone it goes on with it, also after the refusal; from then on its cluster may be any.
    await started(upgraded(SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") })), (metadata) =>
      Effect.sync(() => expect(metadata.image().topicsByName.size).toBeGreaterThan(0))
    )
    await Effect.runPromise(withDisk(Effect.scoped(Layer.build(store))))
  })

  it("keeps the node from starting where it is damaged, and is left as it is", async () => {
    truncateSync(filename, 8192)
    const store = upgraded(SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") }))
    const outcome = await Effect.runPromise(withDisk(Effect.either(Effect.scoped(Layer.build(store)))))
    expect(Either.isLeft(outcome) && outcome.left).toMatchObject({ _tag: "EventStoreError", reason: "damaged" })
    expect(readdirSync(directory)).toContain("metadata.sqlite")
  })

  it("survives a crash before and after every step of the import", async () => {
    /** Fails the nth step, and every one after it: the process is gone. */
    const importUntil = async (contents: MemoryContents, steps: number): Promise<boolean> => {
      let left = steps
      const step = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | RaftStoreError> =>
        Effect.suspend((): Effect.Effect<A, E | RaftStoreError> => {
          return left-- > 0 ? effect : Effect.fail(new RaftStoreError({ reason: "io", message: "gone" }))
        })
      const inner = makeStore(contents)
      const store: RaftStoreService = {
        ...inner,
        persist: (write) => step(inner.persist(write)),
        stageSnapshotChunk: (snapshot, chunk, data) => step(inner.stageSnapshotChunk(snapshot, chunk, data)),
        completeSnapshot: (snapshot, log) => step(inner.completeSnapshot(snapshot, log))
      }
      const whole = Effect.gen(function* () {
        const disk = yield* Disk
        const failing: DiskService = {
          ...disk,
          list: (path) => disk.list(path),
          rename: (from, to) => {
            if (left-- <= 0) throw new DiskError("EIO", "gone")
            disk.rename(from, to)
          },
          syncDirectory: async (path) => {
            if (left-- <= 0) throw new DiskError("EIO", "gone")
            await disk.syncDirectory(path)
          }
        }
        return yield* EventStoreImport.importOnce({ filename, member: { nodeId: 1, address: "" }, isAlone: true }).pipe(
          Effect.provideService(Disk, failing),
          Effect.provideService(RaftStore, store)
        )
      })
      return Effect.runPromise(withDisk(Effect.map(Effect.either(whole), Either.isRight)))
    }
    let steps = 0
    for (let done = false; !done; steps++) {
      rmSync(`${filename}.imported`, { force: true })
      copyFileSync(fixture("metadata-0.1.sqlite"), filename)
      const contents = emptyContents()
      done = await importUntil(contents, steps)
      const store = Layer.sync(RaftStore, () => makeStore(contents))
      await started(upgraded(store), (metadata) =>
        Effect.sync(() => expect(withoutNode(linesOf(metadata))).toEqual(withoutNode(oldLines)))
      )
      expect(readdirSync(directory)).toEqual(["metadata.sqlite.imported"])
    }
    // Term, one chunk, the snapshot, the name, the directory.
    expect(steps).toBe(6)
  })
})

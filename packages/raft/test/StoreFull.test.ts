/**
 * A full disk: a write that finds no room has no effect and says so; what was acknowledged stays; when there is room the same store
 * goes on.
 *
 * On a simulated disk, and on a small file system in memory where mounting one is permitted; where not, that part says so.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Disk } from "@effectmq/storage/Disk"
import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedSqlite } from "@effectmq/testing/SimulatedSqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, describe, expect, it } from "vitest"
import { RaftStore, type RaftStoreError, type RaftStoreService } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { chunksOf, command, plain, saveSnapshot, snapshotOf } from "./support/StoreSamples.js"

interface SmallDisk {
  readonly layer: () => Layer.Layer<RaftStore, RaftStoreError>
  /** Leaves hardly any room. */
  readonly fill: () => void
  readonly empty: () => void
}

const use = <A>(disk: SmallDisk, body: (store: RaftStoreService) => Effect.Effect<A, unknown>): Promise<A> =>
  Effect.runPromise(Effect.provide(Effect.flatMap(RaftStore, body), disk.layer()))

const entry = (index: number) => command(index, 1, `${index} `.repeat(300))

/** Writes until there is no room; answers the last index that was stored. */
const writeUntilFull = (store: RaftStoreService, from: number) =>
  Effect.gen(function* () {
    for (let index = from; ; index++) {
      const result = yield* Effect.either(store.persist({ entries: [entry(index)] }))
      if (result._tag === "Right") continue
      expect(result.left).toMatchObject({ reason: "full", message: expect.stringContaining("Free some space") })
      return index - 1
    }
  })

const scenario = async (disk: SmallDisk): Promise<void> => {
  const chunks = chunksOf("state ".repeat(100))
  const snapshot = snapshotOf(2, 1, chunks)
  const last = await use(disk, (store) =>
    Effect.gen(function* () {
      yield* store.persist({ hardState: { term: 1, votedFor: 1, commitIndex: 0 }, entries: [1, 2, 3].map(entry) })
      disk.fill()
      let stored = yield* writeUntilFull(store, 4)
      // Again and again nothing: the store is not worn by trying.
      expect(yield* writeUntilFull(store, stored + 1)).toBe(stored)
      expect(yield* Effect.flip(saveSnapshot(store, snapshot, [Buffer.alloc(4 << 20)], "keep"))).toMatchObject({ reason: "full" })
      disk.empty()
      yield* store.persist({ hardState: { term: 2, votedFor: 2, commitIndex: 3 }, entries: [entry(++stored)] })
      yield* saveSnapshot(store, snapshotOf(2, 2, chunks), chunks, "keep")
      yield* store.compact(2)
      disk.fill()
      stored = yield* writeUntilFull(store, stored + 1)
      return stored
    })
  )
  // Still full: what is there is opened and read.
  await use(disk, (store) =>
    Effect.sync(() => {
      expect(store.stored.hardState).toEqual({ term: 2, votedFor: 2, commitIndex: 3 })
      expect(store.stored.snapshot?.index).toBe(2)
      expect(plain(store.stored.entries)).toEqual(Array.from({ length: last - 2 }, (_, at) => entry(3 + at)))
      disk.empty()
    })
  )
  await use(disk, (store) => store.persist({ entries: [entry(last + 1)] }))
  await use(disk, (store) => Effect.sync(() => expect(store.stored.entries.at(-1)?.index).toBe(last + 1)))
}

it("a full simulated disk", async () => {
  const sqlite = await SimulatedSqlite.load()
  const random = new SeededRandom(1)
  const disk = new SimulatedDisk(random.next)
  disk.makeDirectory("/data")
  const openSqlite = sqlite.openOn({ disk, random: random.next, nowMs: () => 0 })
  await scenario({
    layer: () =>
      SqliteRaftStore.layerOver({ filename: "/data/raft.sqlite", checkpointBytes: 50_000 }, openSqlite).pipe(
        Layer.provide(Layer.succeed(Disk, disk))
      ),
    fill: () => {
      disk.full = true
    },
    empty: () => {
      disk.full = false
    }
  })
})

const mountSmall = (): string | undefined => {
  const folder = mkdtempSync(join(tmpdir(), "effectmq-raft-full-"))
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]).status === 0) return folder
  rmSync(folder, { recursive: true, force: true })
  console.warn("did not run: a full disk needs to mount a file system, which is not permitted here")
  return undefined
}

const folder = mountSmall()

describe.runIf(folder !== undefined)("a full file system", () => {
  afterAll(() => {
    if (folder === undefined) return
    spawnSync("umount", [folder])
    rmSync(folder, { recursive: true, force: true })
  })

  it("refuses, keeps, and goes on", async () => {
    const rubbish = join(folder as string, "rubbish")
    await scenario({
      layer: () => SqliteRaftStore.layer({ filename: join(folder as string, "raft.sqlite"), checkpointBytes: 50_000 }),
      fill: () => {
        const { bavail, bsize } = statfsSync(folder as string)
        writeFileSync(rubbish, Buffer.alloc(Math.max(0, bavail - 16) * bsize))
      },
      empty: () => rmSync(rubbish)
    })
  }, 60_000)
})

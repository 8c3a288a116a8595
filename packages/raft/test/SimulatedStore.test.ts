/** The suite over the durable store on a simulated disk, with the real engine compiled to wasm. */
import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { Disk } from "@effectmq/storage/Disk"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedSqlite } from "@effectmq/testing/SimulatedSqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { expect, it } from "vitest"
import { RaftStore } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { raftStoreSuite, type StorePlace } from "./RaftStoreSuite.js"
import { chunksOf, command, commands, saveSnapshot, snapshotOf } from "./support/StoreSamples.js"

const sqlite = await SimulatedSqlite.load()

const placeOn = (seed: number, checkpointBytes = 1 << 20): StorePlace & { readonly disk: SimulatedDisk } => {
  const random = new SeededRandom(seed)
  const disk = new SimulatedDisk(random.next)
  disk.makeDirectory("/data")
  const openSqlite = sqlite.openOn({ disk, random: random.next, nowMs: () => 0 })
  const layer = SqliteRaftStore.layerOver({ filename: "/data/raft.sqlite", checkpointBytes }, openSqlite).pipe(
    Layer.provide(Layer.succeed(Disk, disk))
  )
  return { disk, use: (body) => Effect.runPromise(Effect.provide(Effect.flatMap(RaftStore, body), layer)), remove: () => {} }
}

raftStoreSuite("SqliteRaftStore on a simulated disk", 20, () => placeOn(1))

it("takes no more writes after one that failed, reads on, and knows when it is opened again what was written", async () => {
  const place = placeOn(2)
  const chunks = chunksOf("state")
  await place.use((store) =>
    Effect.gen(function* () {
      yield* store.persist({ entries: commands(1, 3, 1) })
      yield* saveSnapshot(store, snapshotOf(2, 1, chunks), chunks, "keep")
      place.disk.failAt(place.disk.calls + 1, { kind: "error", code: "EIO" })
      const failed = yield* Effect.flip(store.persist({ entries: commands(4, 4, 1) }))
      expect(failed).toMatchObject({ reason: "io", message: expect.stringContaining("writing to /data/raft.sqlite") })
      const refused = yield* Effect.flip(store.persist({ entries: commands(4, 4, 1) }))
      expect(refused).toMatchObject({ reason: "io", message: expect.stringContaining("takes no more writes") })
      expect(yield* Effect.flip(store.compact(2))).toMatchObject({ reason: "io" })
      expect(Buffer.from(yield* store.readSnapshotChunk(2, 0)).toString()).toBe("state")
    })
  )
  await place.use((store) =>
    Effect.gen(function* () {
      expect(store.stored.entries.map((entry) => entry.index)).toEqual([1, 2, 3])
      yield* store.persist({ entries: commands(4, 4, 1) })
    })
  )
})

it("is fenced by a sync that fails, also for want of space: nobody knows then what is durable", async () => {
  const place = placeOn(3)
  await place.use((store) =>
    Effect.gen(function* () {
      yield* store.persist({ entries: commands(1, 1, 1) })
      const before = place.disk.calls
      yield* store.persist({ entries: commands(2, 2, 1) })
      const calls = place.disk.calls - before
      for (let call = 1; call <= calls; call++) {
        const what = place.disk.callAt(before + call)
        if (what.startsWith("sync ")) place.disk.failAt(place.disk.calls + call, { kind: "error", code: "ENOSPC" })
      }
      expect(yield* Effect.flip(store.persist({ entries: commands(3, 3, 1) }))).toMatchObject({ reason: "io" })
      expect(yield* Effect.flip(store.persist({ entries: commands(3, 3, 1) }))).toMatchObject({ reason: "io" })
    })
  )
})

it("carries SQLite's log on when it is long: it does not grow with all that is ever written", async () => {
  const { disk, use } = placeOn(4, 50_000)
  await use((store) =>
    Effect.gen(function* () {
      for (let index = 1; index <= 200; index++) yield* store.persist({ entries: [command(index, 1, "x".repeat(4_000))] })
      expect(disk.content("/data/raft.sqlite").length).toBeGreaterThan(500_000)
      expect(disk.content("/data/raft.sqlite-wal").length).toBeLessThan(200_000)
    })
  )
})

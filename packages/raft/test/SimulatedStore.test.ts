/** The suite over the durable store on a simulated disk, with the real engine compiled to wasm. */
import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { Disk } from "@effectmq/storage/Disk"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedSqlite } from "@effectmq/testing/SimulatedSqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RaftStore } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { raftStoreSuite } from "./RaftStoreSuite.js"

const sqlite = await SimulatedSqlite.load()

raftStoreSuite("SqliteRaftStore on a simulated disk", 20, () => {
  const random = new SeededRandom(1)
  const disk = new SimulatedDisk(() => random.next())
  disk.makeDirectory("/data")
  const openSqlite = sqlite.openOn({ disk, random: () => random.next(), nowMs: () => 0 })
  const layer = SqliteRaftStore.layerOver({ filename: "/data/raft.sqlite" }, openSqlite).pipe(
    Layer.provide(Layer.succeed(Disk, disk))
  )
  return { use: (body) => Effect.runPromise(Effect.provide(Effect.flatMap(RaftStore, body), layer)), remove: () => {} }
})

/**
 * A process that changes a durable store as fast as it can, from a change of a given number on, and says on its output which ones
 * were acknowledged.
 */
import { writeSync } from "node:fs"
import { argv } from "node:process"
import * as Effect from "effect/Effect"
import { RaftStore } from "../../src/RaftStore.js"
import * as SqliteRaftStore from "../../src/SqliteRaftStore.js"
import { operate, positionOf } from "./StoreOperations.js"

const [filename = "", from = "1"] = argv.slice(2)

const write = Effect.gen(function* () {
  const store = yield* RaftStore
  let position = positionOf(store)
  for (let number = Number(from); ; number++) {
    position = yield* operate(store, number, position)
    writeSync(1, `${number}\n`)
  }
})

Effect.runPromise(Effect.provide(write, SqliteRaftStore.layer({ filename, checkpointBytes: 300_000 }))).catch((error) => {
  writeSync(2, `${error}\n`)
  throw error
})

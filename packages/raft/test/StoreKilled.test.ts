/** `kill -9` of a process that writes to a durable store, again and again: what it was told is stored is there, and nothing else. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { afterAll, beforeAll, expect, it } from "vitest"
import * as MemoryRaftStore from "../src/MemoryRaftStore.js"
import { RaftStore, type RaftStoreService } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { plain } from "./support/StoreSamples.js"
import { operate, positionOf } from "./support/StoreOperations.js"

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

let directory: string
let script: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "effectmq-raft-killed-"))
  script = join(directory, "writer.cjs")
  await build({
    entryPoints: [at("./support/WritingProcess.ts")],
    outfile: script,
    bundle: true,
    platform: "node",
    format: "cjs",
    conditions: ["source"],
    external: ["better-sqlite3", "@node-rs/crc32"],
    logLevel: "error",
    logOverride: { "empty-import-meta": "silent" }
  })
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Lets the process write until it was told so often that a change is stored, then kills it; answers the last one it was told of. */
const killAfter = (filename: string, from: number, acknowledged: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, NODE_PATH: at("../../../node_modules") }
    const child = spawn(execPath, [script, filename, String(from)], { stdio: ["ignore", "pipe", "inherit"], env })
    let last = from - 1
    let killed = false
    let rest = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) last = Number(line)
      if (last - from >= acknowledged && !killed) killed = child.kill("SIGKILL")
    })
    child.once("close", () => (killed ? resolve(last) : reject(new Error("the writer ended by itself"))))
  })

const contentOf = (store: RaftStoreService) =>
  Effect.gen(function* () {
    const { hardState, snapshot, entries } = store.stored
    const chunks: Array<Buffer> = []
    for (let chunk = 0; chunk < (snapshot?.chunks ?? 0); chunk++) {
      chunks.push(Buffer.from(yield* store.readSnapshotChunk(snapshot?.index ?? 0, chunk)))
    }
    return { hardState, snapshot, entries: plain(entries), chunks }
  })

it("keeps what was acknowledged", async () => {
  const filename = join(directory, "raft.sqlite")
  // The same changes on a store in memory say what must be there.
  const expected = MemoryRaftStore.emptyContents()
  let done = 0
  const doNext = () => {
    const store = MemoryRaftStore.make(expected)
    return Effect.runPromise(operate(store, ++done, positionOf(store)))
  }
  for (const acknowledged of [1, 60, 250, 17, 400, 3]) {
    const last = await killAfter(filename, done + 1, acknowledged)
    while (done < last) await doNext()
    const found = await Effect.runPromise(
      Effect.provide(Effect.flatMap(RaftStore, contentOf), SqliteRaftStore.layer({ filename }))
    )
    const isExpected = async () => isDeepStrictEqual(found, await Effect.runPromise(contentOf(MemoryRaftStore.make(expected))))
    // One more may have been stored that it was not told of.
    const exact = await isExpected()
    if (!exact) await doNext()
    expect(exact || (await isExpected()), `after ${last} changes`).toBe(true)
  }
  expect(done).toBeGreaterThan(700)
}, 60_000)

/**
 * How fast a Raft store makes commands durable and how long it holds the event loop up, beside storage's write-ahead log on the same
 * disk: `node test/bench/raftStore.mjs [seconds]`, after a build. The figures behind docs/adr/0005-raft-store.md.
 *
 * Clients wait for their answer and then for `pauseMs` on average; what came while a write ran goes into the next one.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { RaftStore } from "@effectmq/raft/RaftStore"
import * as SqliteRaftStore from "@effectmq/raft/SqliteRaftStore"
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import * as FileEngine from "@effectmq/storage/FileEngine"
import { ShardEngine } from "@effectmq/storage/ShardEngine"
import * as Effect from "effect/Effect"

const seconds = Number(process.argv[2] ?? 3)
const value = Buffer.alloc(200, 1)
const cases = [
  { clients: 64, pauseMs: 0 },
  { clients: 64, pauseMs: 20 },
  { clients: 4, pauseMs: 40 }
]

const quantile = (values, part) => values[Math.min(values.length - 1, Math.floor(values.length * part))].toFixed(2)

/** `write` makes so many commands durable. */
const measure = async (name, write, { clients, pauseMs }) => {
  const answersMs = []
  let waiting = []
  let writing = false
  let stopped = false
  const writeAll = async () => {
    if (writing) return
    writing = true
    while (waiting.length > 0) {
      const answered = waiting
      waiting = []
      await write(answered.length)
      for (const answer of answered) answer()
    }
    writing = false
  }
  const client = async () => {
    while (!stopped) {
      const startedAt = performance.now()
      await new Promise((answer) => {
        if (waiting.push(answer) === 1) setImmediate(writeAll)
      })
      answersMs.push(performance.now() - startedAt)
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs * 2 * Math.random()))
    }
  }
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startedAt = performance.now()
  const all = Promise.all(Array.from({ length: clients }, client))
  setTimeout(() => {
    stopped = true
  }, seconds * 1000)
  await all
  delay.disable()
  const rate = answersMs.length / ((performance.now() - startedAt) / 1000)
  const sorted = Float64Array.from(answersMs).sort()
  const held = (percentile) => Math.max(0, delay.percentile(percentile) / 1e6 - 1).toFixed(2)
  console.log(
    `${name}, ${clients} clients, pause ${pauseMs} ms: ${rate.toFixed(0)} commands/s, answer p50 ${quantile(sorted, 0.5)} p99 ` +
      `${quantile(sorted, 0.99)} ms, event loop held up p50 ${held(50)} p99 ${held(99)} ms`
  )
}

const store = (directory) =>
  Effect.gen(function* () {
    const { persist } = yield* RaftStore
    let index = 1
    const write = (count) => {
      const entries = Array.from({ length: count }, () => ({ kind: "command", index: index++, term: 1, data: value }))
      return Effect.runPromise(persist({ hardState: { term: 1, votedFor: 1, commitIndex: index - 1 - count }, entries }))
    }
    for (const one of cases) yield* Effect.promise(() => measure("SqliteRaftStore", write, one))
  }).pipe(Effect.provide(SqliteRaftStore.layer({ filename: join(directory, "raft.sqlite") })), Effect.runPromise)

const log = (directory) =>
  Effect.gen(function* () {
    const engine = yield* ShardEngine
    const shard = yield* engine.open(
      { tenant: "default", topic: "raft", partition: 0 },
      { durability: "fsync", cleanup: "delete" }
    )
    const write = (count) => {
      const builder = new RecordBatchBuilder({ sizeBytes: 256 * (count + 1) })
      for (let at = 0; at < count; at++) builder.append(1_000_000, undefined, value)
      const batch = builder.finish()
      return new Promise((resolve, reject) => shard.append(batch, (error) => (error === undefined ? resolve() : reject(error))))
    }
    for (const one of cases) yield* Effect.promise(() => measure("storage's log", write, one))
  }).pipe(Effect.provide(FileEngine.layer({ directory: join(directory, "log") })), Effect.runPromise)

const directory = mkdtempSync(join(tmpdir(), "effectmq-bench-store-"))
try {
  await store(directory)
  await log(directory)
} finally {
  rmSync(directory, { recursive: true, force: true })
}

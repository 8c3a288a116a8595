/**
 * One workload on the durable store, run again and again with another call of the disk going wrong each time, under the real SQLite:
 * what was acknowledged is there afterwards, what was not is there whole or not at all, and nothing else is ever served.
 *
 * Each fault hits every n-th call, beginning with another one; `SWEEP_EVERY=1` hits them all.
 */
import { env } from "node:process"
import { isDeepStrictEqual } from "node:util"
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { Disk } from "@effectmq/storage/Disk"
import { type Fault, SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { SimulatedSqlite } from "@effectmq/testing/SimulatedSqlite"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { type HardState, RaftStoreError, type RaftStoreService } from "../src/RaftStore.js"
import * as SqliteRaftStore from "../src/SqliteRaftStore.js"
import { command, commands, plain, snapshotOf } from "./support/StoreSamples.js"

const sqlite = await SimulatedSqlite.load()
const every = Number(env["SWEEP_EVERY"] ?? 11)

interface State {
  readonly hardState: HardState
  readonly firstIndex: number
  readonly entries: ReadonlyArray<Entry>
  readonly snapshot: SnapshotMeta | undefined
  readonly chunks: ReadonlyArray<Buffer>
}

const empty: State = {
  hardState: { term: 0, votedFor: 0, commitIndex: 0 },
  firstIndex: 1,
  entries: [],
  snapshot: undefined,
  chunks: []
}

/** A change of the store, and what it makes of a state. */
interface Change {
  readonly does: (store: RaftStoreService) => Effect.Effect<void, RaftStoreError>
  readonly makes: (state: State) => State
}

const lastIndex = (state: State) => state.firstIndex + state.entries.length - 1

const write = (hardState: HardState | undefined, entries: ReadonlyArray<Entry>): Change => ({
  does: (store) => store.persist({ hardState, entries }),
  makes: (state) => ({
    ...state,
    hardState: hardState ?? state.hardState,
    entries: entries.length === 0 ? state.entries : [...state.entries.slice(0, entries[0].index - state.firstIndex), ...entries]
  })
})

const stage = (snapshot: SnapshotMeta, chunk: number, data: Buffer): Change => ({
  does: (store) => store.stageSnapshotChunk(snapshot, chunk, data),
  makes: (state) => state
})

const complete = (snapshot: SnapshotMeta, chunks: ReadonlyArray<Buffer>, log: "keep" | "discard"): Change => ({
  does: (store) => store.completeSnapshot(snapshot, log),
  makes: (state) => {
    const discarded = log === "discard" ? { entries: [], firstIndex: snapshot.index + 1 } : {}
    return { ...state, snapshot, chunks, ...discarded }
  }
})

const compact = (index: number): Change => ({
  does: (store) => store.compact(index),
  makes: (state) => {
    const forgotten = Math.max(0, Math.min(index, state.snapshot?.index ?? 0) - state.firstIndex + 1)
    return { ...state, entries: state.entries.slice(forgotten), firstIndex: state.firstIndex + forgotten }
  }
})

/** Everything a member does in its life, beginning behind `from`, whatever its log holds. */
const changesFrom = (from: State, life: number): ReadonlyArray<Change> => {
  const at = lastIndex(from)
  const term = from.hardState.term + 1
  const chunks = [0, 1, 2].map((chunk) => Buffer.alloc(1500 * chunk + life, chunk))
  const [taken, received] = [snapshotOf(at + 9, term, chunks), snapshotOf(at + 30, term + 2, chunks.slice(0, 2))]
  const vote = { term, votedFor: 1, commitIndex: at }
  return [
    write(vote, []),
    write(undefined, commands(at + 1, at + 4, term)),
    write({ ...vote, commitIndex: at + 4 }, commands(at + 5, at + 6, term)),
    write(undefined, [command(at + 7, term, "x".repeat(9000)), ...commands(at + 8, at + 12, term)]),
    write({ ...vote, term: term + 1, votedFor: 2 }, []),
    write({ ...vote, term: term + 1, votedFor: 3 }, commands(at + 11, at + 11, term + 1)),
    ...chunks.map((data, chunk) => stage(taken, chunk, data)),
    complete(taken, chunks, "keep"),
    compact(at + 8),
    write(undefined, commands(at + 12, at + 15, term + 1)),
    write(undefined, commands(at + 10, at + 13, term + 2)),
    compact(at + 9),
    ...chunks.slice(0, 1).map((data, chunk) => stage(snapshotOf(at + 11, term, chunks), chunk, data)),
    ...chunks.slice(0, 2).map((data, chunk) => stage(received, chunk, data)),
    complete(received, chunks.slice(0, 2), "discard"),
    write({ term: term + 2, votedFor: 0, commitIndex: at + 30 }, commands(at + 31, at + 33, term + 2)),
    write({ term: term + 2, votedFor: 0, commitIndex: at + 33 }, [])
  ]
}

/** What the store may hold: all that was acknowledged, and then perhaps the change that was not answered well. */
class Ledger {
  storeId: string | undefined
  state = empty
  pending: State | undefined

  get possible(): ReadonlyArray<State> {
    return this.pending === undefined ? [this.state] : [this.state, this.pending]
  }
}

const open = <A>(disk: SimulatedDisk, body: (store: RaftStoreService) => Effect.Effect<A, RaftStoreError>) => {
  const openSqlite = sqlite.openOn({ disk, random: disk.random, nowMs: () => 0 })
  const options = { filename: "/data/raft.sqlite", checkpointBytes: 100_000 }
  return SqliteRaftStore.make(options, openSqlite).pipe(
    Effect.flatMap(body),
    Effect.scoped,
    Effect.provideService(Disk, disk),
    Effect.either,
    Effect.runPromise
  )
}

const isSame = (one: Omit<State, "firstIndex">, other: Omit<State, "firstIndex">): boolean =>
  isDeepStrictEqual(
    [one.hardState, one.snapshot, one.chunks, plain(one.entries)],
    [other.hardState, other.snapshot, other.chunks, plain(other.entries)]
  )

/** Finds which of the possible states it is. */
const settle = (store: RaftStoreService, ledger: Ledger) =>
  Effect.gen(function* () {
    const { storeId, hardState, snapshot, entries } = store.stored
    ledger.storeId ??= storeId
    expect(storeId).toBe(ledger.storeId)
    const chunks: Array<Buffer> = []
    for (let chunk = 0; chunk < (snapshot?.chunks ?? 0); chunk++) {
      chunks.push(Buffer.from(yield* store.readSnapshotChunk(snapshot?.index ?? 0, chunk)))
    }
    const state = ledger.possible.find((one) => isSame(one, { hardState, entries, snapshot, chunks }))
    if (state === undefined) {
      const found = JSON.stringify({ hardState, snapshot, entries: entries.map(({ index, term }) => [index, term]) })
      throw new Error(`it holds what was never written: ${found}`)
    }
    ledger.state = state
    ledger.pending = undefined
  })

/** One life of the store; ends with the first error that is not a want of space. */
const live = (disk: SimulatedDisk, ledger: Ledger, life: number) =>
  open(disk, (store) =>
    Effect.gen(function* () {
      yield* settle(store, ledger)
      for (const change of changesFrom(ledger.state, life)) {
        const next = change.makes(ledger.state)
        ledger.pending = next
        const done = yield* Effect.either(change.does(store))
        if (Either.isLeft(done) && done.left.reason !== "full") {
          // The process ends with what it could not do, now in good order and now at once.
          if (disk.calls % 2 === 0) disk.crash()
          return
        }
        if (Either.isLeft(done)) {
          ledger.pending = undefined
          yield* change.does(store)
        }
        ledger.state = next
        ledger.pending = undefined
      }
    })
  )

const settleOn = async (
  disk: SimulatedDisk,
  ledger: Ledger,
  then: (store: RaftStoreService) => Effect.Effect<void, RaftStoreError>
) => {
  const settled = await open(disk, (store) => Effect.andThen(settle(store, ledger), () => then(store)))
  if (Either.isLeft(settled)) throw settled.left
}

/** It opens and holds what it must. What was once read is there for ever, however soon the power fails. */
const readThenFail = async (disk: SimulatedDisk, ledger: Ledger): Promise<SimulatedDisk> => {
  await settleOn(disk, ledger, () => Effect.sync(() => disk.crash()))
  return disk.restarted("lost")
}

/** It takes more. */
const check = async (disk: SimulatedDisk, ledger: Ledger): Promise<void> => {
  const after = await readThenFail(disk, ledger)
  await settleOn(after, ledger, (store) => {
    const change = write(undefined, [command(lastIndex(ledger.state) + 1, 99)])
    ledger.pending = change.makes(ledger.state)
    return change.does(store)
  })
  ledger.state = ledger.pending ?? ledger.state
  ledger.pending = undefined
  await settleOn(after.restarted("kept"), ledger, () => Effect.void)
}

const diskOf = (seed: number): SimulatedDisk => {
  const random = new SeededRandom(seed)
  const disk = new SimulatedDisk(random.next)
  disk.makeDirectory("/data")
  return disk
}

const callsOfLife = async (): Promise<number> => {
  const disk = diskOf(1)
  await live(disk, new Ledger(), 0)
  return disk.calls
}

const explain = async (call: number, disk: SimulatedDisk, run: () => Promise<void>): Promise<void> => {
  try {
    await run()
  } catch (error) {
    throw new Error(`after a fault at ${call} (${disk.callAt(call)}): ${error}`, { cause: error })
  }
}

const faults: ReadonlyArray<readonly [fault: Fault, unsynced: "lost" | "kept"]> = [
  [{ kind: "error", code: "EIO" }, "lost"],
  [{ kind: "error", code: "EIO" }, "kept"],
  [{ kind: "error", code: "ENOSPC" }, "lost"],
  [{ kind: "error", code: "ENOSPC" }, "kept"],
  [{ kind: "partial", code: "EIO" }, "kept"],
  [{ kind: "partial", code: "ENOSPC" }, "lost"],
  [{ kind: "short" }, "lost"],
  [{ kind: "forgotten" }, "kept"],
  [{ kind: "crash" }, "lost"],
  [{ kind: "torn" }, "lost"],
  [{ kind: "torn" }, "kept"]
]

describe("fault sweep of the Raft store", () => {
  it.each(faults.map(([fault, unsynced], at) => [fault, unsynced, 1 + (at % every)] as const))(
    "%j, then a start with unsynced data %s",
    async (fault, unsynced, first) => {
      const calls = await callsOfLife()
      expect(calls).toBeGreaterThan(150)
      for (let call = first; call <= calls; call += every) {
        const disk = diskOf(call)
        disk.failAt(call, fault)
        const ledger = new Ledger()
        await explain(call, disk, async () => {
          await live(disk, ledger, 0)
          await check(disk.restarted(unsynced), ledger)
        })
      }
    },
    120_000
  )

  it("a bit flips in what is written or read: what is served is right, or the store is refused as damaged", async () => {
    const calls = await callsOfLife()
    for (let call = 1; call <= calls; call += every) {
      const disk = diskOf(call)
      disk.failAt(call, { kind: "flip" })
      const ledger = new Ledger()
      await explain(call, disk, async () => {
        await live(disk, ledger, 0)
        try {
          await check(disk.restarted("kept"), ledger)
        } catch (error) {
          if (!(error instanceof RaftStoreError) || error.reason !== "damaged") throw error
        }
      })
    }
  }, 120_000)

  it("one life after another, each ended by another fault", async () => {
    const calls = await callsOfLife()
    for (let seed = 1; seed <= 220 / every; seed++) {
      const random = new SeededRandom(seed, 1)
      const ledger = new Ledger()
      let disk = diskOf(seed)
      for (let life = 0; life < 4; life++) {
        const call = 1 + Math.floor(random.next() * calls)
        const [fault, unsynced] = faults[Math.floor(random.next() * faults.length)]
        disk.failAt(call, fault)
        await explain(call, disk, async () => {
          await live(disk, ledger, life)
          disk = await readThenFail(disk.restarted(unsynced), ledger)
        })
      }
    }
  }, 120_000)
})

describe("a whole store", () => {
  it("is not called damaged where a call of the disk fails while it is opened", async () => {
    const disk = new SimulatedDisk(new SeededRandom(1).next)
    disk.makeDirectory("/data")
    const large = Array.from({ length: 10 }, (_, at) => command(at + 1, 1, "x".repeat(9_000)))
    const filled = await open(disk, (store) =>
      store.persist({ hardState: { term: 1, votedFor: 1, commitIndex: 1 }, entries: large })
    )
    expect(Either.isRight(filled)).toBe(true)
    const calls = disk.calls
    const opened = (from: SimulatedDisk) => open(from, (store) => Effect.succeed(store.stored.entries.length))
    const whole = disk.restarted("kept")
    expect(await opened(whole)).toMatchObject({ right: large.length })
    expect(calls).toBeGreaterThan(whole.calls)
    for (let call = 1; call <= whole.calls; call += 3) {
      const failing = disk.restarted("kept")
      failing.failAt(call, { kind: "error", code: "EIO" })
      const outcome = await opened(failing)
      if (Either.isLeft(outcome)) expect(outcome.left.reason, `call ${call}: ${outcome.left.message}`).toBe("io")
      // It is whole nevertheless.
      failing.crash()
      expect(await opened(failing.restarted("kept")), `after call ${call}`).toMatchObject({ right: large.length })
    }
  })
})

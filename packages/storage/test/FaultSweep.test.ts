/**
 * One workload, run again and again with another call of the disk going wrong each time: what was acknowledged is there afterwards, in
 * order, and nothing is served that was never written.
 */
import type { Shard, ShardOptions } from "@effectmq/storage/Shard"
import { type Fault, SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { StorageError } from "@effectmq/storage/StorageError"
import { describe, expect, it } from "vitest"
import { append, batchOf, idOf, plainOptions, readAll, type Running, run, seeded, startBare } from "./Support.js"

const shardOptions: Record<string, ShardOptions> = {
  plain: plainOptions,
  compacted: { durability: "fsync", cleanup: "compact" },
  cached: { durability: "os", cleanup: "delete" }
}

/** What was tried and what was acknowledged, by offset. */
class Ledger {
  readonly tried = new Map<number, Set<string>>()
  readonly acknowledged = new Map<number, { readonly key: string; readonly value: string }>()
  trimmed = 0
}

type Ledgers = Record<string, Ledger>

const newLedgers = (): Ledgers => ({ plain: new Ledger(), compacted: new Ledger(), cached: new Ledger() })

/** Resolves when the append is answered, however. What is refused for want of space is taken back: it must never show. */
const attempt = (shard: Shard, ledger: Ledger, key: string, value: string): Promise<void> =>
  new Promise((resolve) => {
    const records = [key, "other"].map((name) => ({ key: name, value }))
    const baseOffset = shard.append(batchOf(records), (error) => {
      if (error === undefined) for (const [index, one] of records.entries()) ledger.acknowledged.set(baseOffset + index, one)
      if (error?.reason === "full") {
        for (const [index, one] of records.entries()) ledger.tried.get(baseOffset + index)?.delete(`${one.key}=${value}`)
      }
      resolve()
    })
    if (baseOffset < 0) return
    for (const [index, one] of records.entries()) {
      const tried = ledger.tried.get(baseOffset + index) ?? new Set()
      ledger.tried.set(baseOffset + index, tried.add(`${one.key}=${value}`))
    }
  })

const settled = async (work: Promise<unknown>): Promise<void> => {
  try {
    await work
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError)
  }
}

/** What a shard serves was tried at that offset, in rising offsets. */
const check = (
  ledger: Ledger,
  records: ReadonlyArray<{ offset: number; key: string | undefined; value: string | undefined }>
): void => {
  // Plain conditions: this runs for millions of records, and `expect` takes its time.
  let last = -1
  for (const { offset, key, value } of records) {
    if (offset <= last) throw new Error(`offset ${offset} comes after ${last}`)
    last = offset
    if (ledger.tried.get(offset)?.has(`${key}=${value}`) !== true)
      throw new Error(`${key}=${value} was never written at ${offset}`)
  }
}

const workload = async (running: Running, ledgers: Ledgers, life: number): Promise<void> => {
  const open = (topic: string) => running.open(topic, shardOptions[topic])
  const [plain, compacted, cached] = [await open("plain"), await open("compacted"), await open("cached")]
  for (let round = 0; round < 7; round++) {
    const work: Array<Promise<void>> = []
    for (let index = 0; index < 4; index++)
      work.push(attempt(plain, ledgers.plain, `k${index}`, `${life}.${round}.${index}`.padEnd(220, "p")))
    for (let index = 0; index < 2; index++)
      work.push(attempt(compacted, ledgers.compacted, `k${index}`, `${life}.${round}.${index}`.padEnd(130, "c")))
    work.push(attempt(cached, ledgers.cached, "k", `${life}.${round}`.padEnd(90, "o")))
    await Promise.all(work)
    if (round === 3) {
      ledgers.plain.trimmed = Math.min(6, plain.committedOffset())
      await settled(run(plain.trim(ledgers.plain.trimmed)))
      const passing = await running.open("passing")
      await settled(append(passing, [{ key: "k", value: "v" }]))
      await settled(run(running.engine.remove(idOf("passing"))))
    }
    if (round === 2 || round === 5) await settled(run(running.engine.clean))
    await running.tick()
    await settled(readAll(plain).then((records) => check(ledgers.plain, records)))
  }
}

/** Starts the engine; undefined where it refuses with a storage error. */
const tryStart = async (disk: SimulatedDisk): Promise<Running | StorageError> => {
  try {
    return await startBare(disk)
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError)
    return error as StorageError
  }
}

const runWorkload = async (disk: SimulatedDisk, ledgers: Ledgers, life = 0): Promise<void> => {
  const running = await tryStart(disk)
  if (running instanceof StorageError) return
  await settled(workload(running, ledgers, life))
  await running.close()
}

/** Everything acknowledged is there and right. */
const verify = async (running: Running, ledgers: Ledgers, unsynced: "lost" | "kept"): Promise<void> => {
  for (const [topic, ledger] of Object.entries(ledgers)) {
    const shard = await running.open(topic, shardOptions[topic])
    const records = await readAll(shard, { bytesMax: 900 })
    check(ledger, records)
    if (topic === "compacted") {
      const newest = new Map<string, string | undefined>()
      for (const { key, value } of records) newest.set(key as string, value)
      const lastAcknowledged = new Map<string, number>()
      for (const [offset, { key }] of ledger.acknowledged)
        lastAcknowledged.set(key, Math.max(offset, lastAcknowledged.get(key) ?? 0))
      for (const [key, offset] of lastAcknowledged) {
        const found = records.filter((one) => one.key === key).at(-1)
        expect(found?.offset).toBeGreaterThanOrEqual(offset)
      }
    } else {
      // Dense from the start on.
      expect(records.map((one) => one.offset)).toEqual(
        Array.from({ length: shard.committedOffset() - shard.startOffset() }, (_, index) => shard.startOffset() + index)
      )
      expect(shard.startOffset()).toBeLessThanOrEqual(ledger.trimmed)
      const valueByOffset = new Map(records.map((one) => [one.offset, one.value]))
      if (topic === "plain" || unsynced === "kept") {
        const wanted = [...ledger.acknowledged].filter(([offset]) => offset >= ledger.trimmed)
        const lost = wanted.filter(([offset, { value }]) => valueByOffset.get(offset) !== value)
        expect(lost).toEqual([])
      }
    }
  }
}

const verifyAppends = async (running: Running, ledgers: Ledgers): Promise<void> => {
  for (const [topic, ledger] of Object.entries(ledgers)) {
    const shard = await running.open(topic, shardOptions[topic])
    const next = shard.endOffset()
    expect(await append(shard, [{ key: "again", value: "again" }])).toBe(next)
    ledger.tried.set(next, new Set(["again=again"]))
    ledger.acknowledged.set(next, { key: "again", value: "again" })
    expect((await readAll(shard)).at(-1)).toMatchObject({ offset: next, value: "again" })
  }
}

const callsOfWorkload = async (): Promise<number> => {
  const disk = new SimulatedDisk(seeded(1))
  await runWorkload(disk, newLedgers())
  return disk.calls
}

const runBroken = async (call: number, fault: Fault) => {
  const disk = new SimulatedDisk(seeded(call))
  disk.failAt(call, fault)
  const ledgers = newLedgers()
  await runWorkload(disk, ledgers)
  return { disk, ledgers }
}

const verifyStart = async (disk: SimulatedDisk, ledgers: Ledgers, unsynced: "lost" | "kept"): Promise<void> => {
  const running = await startBare(disk)
  try {
    await verify(running, ledgers, unsynced)
    await verifyAppends(running, ledgers)
    // What a start found is durable then, and so is what was built upon it.
    if (unsynced === "kept") disk.crash()
  } finally {
    await running.close()
  }
  if (!disk.crashed) return
  const again = await startBare(disk.restarted("lost"))
  await verify(again, ledgers, "lost")
  await again.close()
}

/** All is there and right, or the engine says that something is corrupt. */
const verifyOrCorrupt = async (disk: SimulatedDisk, ledgers: Ledgers): Promise<void> => {
  try {
    await verifyStart(disk, ledgers, "kept")
  } catch (error) {
    if (!(error instanceof StorageError) || error.reason !== "corrupt") throw error
  }
}

/** Says which fault it was that a check failed after. */
const explain = async (disk: SimulatedDisk, call: number, fault: Fault, run: () => Promise<void>, what = disk.callAt(call)) => {
  try {
    await run()
  } catch (error) {
    throw new Error(`after ${JSON.stringify(fault)} at ${call} (${what}): ${error}`, { cause: error })
  }
}

/** Every call for these; for the others every third, each beginning elsewhere. */
const faults: ReadonlyArray<readonly [fault: Fault, unsynced: "lost" | "kept", everyNth: number, first: number]> = [
  [{ kind: "error", code: "EIO" }, "lost", 1, 1],
  [{ kind: "error", code: "ENOSPC" }, "kept", 1, 1],
  [{ kind: "short" }, "lost", 1, 1],
  [{ kind: "crash" }, "lost", 1, 1],
  [{ kind: "torn" }, "lost", 1, 1],
  [{ kind: "error", code: "ENOSPC" }, "lost", 3, 1],
  [{ kind: "partial", code: "EIO" }, "kept", 3, 2],
  [{ kind: "partial", code: "ENOSPC" }, "kept", 3, 3],
  [{ kind: "crash" }, "kept", 3, 2],
  [{ kind: "torn" }, "kept", 3, 1],
  [{ kind: "forgotten" }, "kept", 1, 1]
]

describe("fault sweep", () => {
  it.each(faults)(
    "%j, then a start with unsynced data %s",
    async (fault, unsynced, everyNth, first) => {
      const calls = await callsOfWorkload()
      expect(calls).toBeGreaterThan(150)
      for (let call = first; call <= calls; call += everyNth) {
        const { disk, ledgers } = await runBroken(call, fault)
        await explain(disk, call, fault, () => verifyStart(disk.restarted(unsynced), ledgers, unsynced))
      }
    },
    120_000
  )

  it("a bit flips in what is written or read, now: what is served is right or refused as corrupt", async () => {
    const calls = await callsOfWorkload()
    for (let call = 1; call <= calls; call++) {
      const fault: Fault = { kind: "flip" }
      const { disk, ledgers } = await runBroken(call, fault)
      await explain(disk, call, fault, () => verifyOrCorrupt(disk.restarted("kept"), ledgers))
    }
  }, 120_000)

  it("one life after another, each ended by another fault", async () => {
    const calls = await callsOfWorkload()
    const kinds = faults.map(([fault]) => fault)
    for (let seed = 1; seed <= 40; seed++) {
      const random = seeded(seed)
      const ledgers = newLedgers()
      let disk = new SimulatedDisk(random)
      for (let life = 0; life < 5; life++) {
        const call = 1 + Math.floor(random() * calls)
        const fault = kinds[Math.floor(random() * kinds.length)]
        disk.failAt(call, fault)
        await runWorkload(disk, ledgers, life)
        const broken = disk
        const unsynced = random() < 0.5 ? "lost" : "kept"
        disk = disk.restarted(unsynced)
        // What only the system's cache had may be gone for good.
        if (unsynced === "lost") ledgers.cached.acknowledged.clear()
        const running = await startBare(disk)
        await explain(broken, call, fault, () => verify(running, ledgers, unsynced), `seed ${seed}, life ${life}`)
        // What was once served must be there for ever, however soon the power fails.
        const fails = random() < 0.5
        if (fails) disk.crash()
        await running.close()
        disk = disk.restarted(fails ? "lost" : "kept")
        if (fails) ledgers.cached.acknowledged.clear()
      }
    }
  }, 120_000)

  it("a bit flips at rest, in any file", async () => {
    const ledgers = newLedgers()
    const disk = new SimulatedDisk(seeded(1))
    await runWorkload(disk, ledgers)
    const random = seeded(77)
    for (const directory of ["/data", "/data/wal", "/data/segments"]) {
      for (const name of disk.restarted("kept").list(directory)) {
        const path = `${directory}/${name}`
        for (let count = 0; count < 25; count++) {
          const damaged = disk.restarted("kept")
          const bits = damaged.content(path).length * 8
          // Half of them near the beginning, where the headers are.
          const bit = Math.floor(random() * (count % 2 === 0 ? bits : Math.min(bits, 4096)))
          damaged.flipBit(path, bit)
          await explain(damaged, bit, { kind: "flip" }, () => verifyOrCorrupt(damaged, structuredClone(ledgers)), path)
        }
      }
    }
  }, 120_000)
})

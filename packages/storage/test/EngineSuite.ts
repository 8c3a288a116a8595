/**
 * What every storage engine does. Run over each of them.
 */
import type { ShardEngine } from "@effectmq/storage/ShardEngine"
import { OffsetOutOfRange, type StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import {
  append,
  batchOf,
  idOf,
  plainOptions,
  readAll,
  type Running,
  recordsOf,
  start,
  type StoredRecord,
  until
} from "./Support.js"

export interface Store {
  readonly layer: Layer.Layer<ShardEngine, StorageError>
  /** True where a second start of the same layer has what the first stored. */
  readonly survives: boolean
}

const failure = <A, E>(effect: Effect.Effect<A, E>): Promise<E> => Effect.runPromise(Effect.flip(effect))

export const suite = (name: string, makeStore: () => Store) =>
  describe(name, () => {
    const open: Array<Running> = []
    const run = async () => {
      const running = await start(makeStore().layer)
      open.push(running)
      return running
    }
    afterEach(async () => {
      for (const running of open.splice(0)) await running.close()
    })

    it("gives dense offsets and answers in order, never before append returns", async () => {
      const shard = await (await run()).open("a")
      const answers: Array<number> = []
      let returned = false
      await new Promise<void>((resolve) => {
        for (let count = 1; count <= 5; count++) {
          const records = Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: `v${count}` }))
          const offset = shard.append(batchOf(records), (error, baseOffset) => {
            expect(error).toBeUndefined()
            expect(returned).toBe(true)
            answers.push(baseOffset)
            expect(shard.committedOffset()).toBeGreaterThan(baseOffset)
            if (answers.length === 5) resolve()
          })
          expect(offset).toBe((count * (count - 1)) / 2)
        }
        expect(shard.endOffset()).toBe(15)
        expect(shard.committedOffset()).toBe(0)
        returned = true
      })
      expect(answers).toEqual([0, 1, 3, 6, 10])
      expect(shard.committedOffset()).toBe(15)
      expect((await readAll(shard)).map((one) => one.offset)).toEqual(Array.from({ length: 15 }, (_, index) => index))
    })

    it("tells listeners of commits until they leave", async () => {
      const shard = await (await run()).open("a")
      const seen: Array<number> = []
      const stop = shard.onCommitted((offset) => seen.push(offset))
      await append(shard, [{ key: "a", value: "1" }])
      await append(shard, [
        { key: "a", value: "2" },
        { key: "b", value: "3" }
      ])
      expect(seen).toEqual([1, 3])
      stop()
      await append(shard, [{ key: "a", value: "4" }])
      expect(seen).toEqual([1, 3])
    })

    it("reads batches up to a size, at least one, and moves on", async () => {
      const shard = await (await run()).open("a")
      for (let index = 0; index < 10; index++) await append(shard, [{ key: "k", value: "x".repeat(100) }])
      const size = batchOf([{ key: "k", value: "x".repeat(100) }]).length
      const read = (from: number, bytesMax: number) => Effect.runPromise(shard.read(from, { bytesMax }))
      expect(await read(0, 1)).toMatchObject({ nextOffset: 1 })
      expect(await read(4, size * 3)).toMatchObject({ nextOffset: 7 })
      expect((await read(4, size * 3 + 1)).batches).toHaveLength(3)
      expect(await read(10, 100)).toEqual({ batches: [], nextOffset: 10 })
    })

    it("refuses offsets that are not there", async () => {
      const shard = await (await run()).open("a")
      await append(shard, [
        { key: "k", value: "v" },
        { key: "k", value: "w" }
      ])
      await Effect.runPromise(shard.trim(1))
      expect(await failure(shard.read(0, { bytesMax: 10 }))).toEqual(
        new OffsetOutOfRange({ offset: 0, startOffset: 1, committedOffset: 2 })
      )
      expect(await failure(shard.read(3, { bytesMax: 10 }))).toBeInstanceOf(OffsetOutOfRange)
    })

    it("refuses what is no batch, damaged, or too large, and goes on", async () => {
      const shard = await (await run()).open("a")
      const refused = (batch: Uint8Array) =>
        new Promise<unknown>((resolve) => {
          expect(shard.append(batch, (error, offset) => resolve([error?.reason, offset]))).toBe(-1)
        })
      const damaged = batchOf([{ key: "k", value: "value" }])
      damaged[damaged.length - 1] ^= 1
      expect(await refused(damaged)).toEqual(["malformed", -1])
      expect(await refused(Buffer.alloc(10))).toEqual(["malformed", -1])
      expect(await refused(batchOf([{ key: "k", value: "x".repeat(5000) }]))).toEqual(["too-large", -1])
      expect(await append(shard, [{ key: "k", value: "v" }])).toBe(0)
    })

    it("keeps shards apart, lists and removes them", async () => {
      const { engine, open: openShard } = await run()
      const one = await openShard("one")
      const two = await openShard("two")
      expect(await openShard("one")).toBe(one)
      await append(one, [{ key: "k", value: "1" }])
      await append(two, [{ key: "k", value: "2" }])
      expect((await Effect.runPromise(engine.list)).map((id) => id.topic).sort()).toEqual(["one", "two"])
      await Effect.runPromise(engine.remove(idOf("one")))
      await Effect.runPromise(engine.remove(idOf("one")))
      expect((await Effect.runPromise(engine.list)).map((id) => id.topic)).toEqual(["two"])
      await expect(append(one, [{ key: "k", value: "3" }])).rejects.toMatchObject({ reason: "closed" })
      expect(await failure(one.read(0, { bytesMax: 10 }))).toMatchObject({ reason: "closed" })
      const anew = await openShard("one")
      expect(anew.endOffset()).toBe(0)
      expect((await readAll(two)).map((record) => record.value)).toEqual(["2"])
      expect(await failure(engine.open({ tenant: "a b", topic: "x", partition: 0 }, plainOptions))).toMatchObject({
        reason: "malformed"
      })
    })

    it("finds offsets by timestamp", async () => {
      const { engine, open: openShard } = await run()
      const shard = await openShard("a")
      for (let index = 0; index < 40; index++) {
        await append(shard, [
          { key: "k", value: "x".repeat(200), timestampMs: 1000 + index * 10 },
          { key: "k", value: "y".repeat(200), timestampMs: 1005 + index * 10 }
        ])
        if (index % 15 === 14) await Effect.runPromise(engine.clean)
      }
      const find = (timestampMs: number) => Effect.runPromise(shard.offsetForTimestamp(timestampMs))
      expect(await find(0)).toBe(0)
      for (const index of [0, 7, 20, 39]) {
        expect(await find(1000 + index * 10)).toBe(index * 2)
        expect(await find(1001 + index * 10)).toBe(index * 2 + 1)
        expect(await find(1005 + index * 10)).toBe(index * 2 + 1)
      }
      expect(await find(99999)).toBe(80)
    })

    it("applies a retention that is set anew, without being asked to clean", async () => {
      const { open: openShard } = await run()
      const shard = await openShard("a")
      for (let index = 0; index < 50; index++) await append(shard, [{ key: "k", value: `${index}`.padEnd(300) }])
      expect(await openShard("a", { ...plainOptions, retentionBytes: 3000 })).toBe(shard)
      await until(() => shard.startOffset() > 30)
      await openShard("a", { ...plainOptions, retentionMs: 1 })
      await until(() => shard.startOffset() === 50)
    })

    it("retains by size and by age", async () => {
      const { engine, open: openShard } = await run()
      const bySize = await openShard("size", { ...plainOptions, retentionBytes: 20_000 })
      const byAge = await openShard("age", { ...plainOptions, retentionMs: 1000 })
      const fresh = await openShard("fresh", { ...plainOptions, retentionMs: 1000 })
      for (let index = 0; index < 200; index++) await append(bySize, [{ key: "k", value: `${index}`.padEnd(300) }])
      for (let index = 0; index < 50; index++) await append(byAge, [{ key: "k", value: `${index}`.padEnd(300), timestampMs: 5 }])
      await append(fresh, [{ key: "k", value: "v", timestampMs: Date.now() + 60_000 }])
      await Effect.runPromise(engine.clean)
      await Effect.runPromise(engine.clean)
      expect(bySize.sizeBytes()).toBeGreaterThanOrEqual(20_000)
      expect(bySize.sizeBytes()).toBeLessThan(32_000)
      expect(bySize.startOffset()).toBeGreaterThan(100)
      const left = await readAll(bySize)
      expect(left[0]?.offset).toBe(bySize.startOffset())
      expect(left.at(-1)?.value?.trim()).toBe("199")
      expect(byAge.startOffset()).toBe(50)
      expect(byAge.sizeBytes()).toBe(0)
      expect(await append(byAge, [{ key: "k", value: "v" }])).toBe(50)
      expect(fresh.startOffset()).toBe(0)
    })

    it("compacts by key: the newest stay at their offsets, removed keys go", async () => {
      const { engine, open: openShard } = await run()
      const shard = await openShard("a", { durability: "fsync", cleanup: "compact" })
      const newest = new Map<string, StoredRecord>()
      for (let index = 0; index < 300; index++) {
        const key = `key-${(index * 7) % 23}`
        const value = index % 11 === 10 ? undefined : `value-${index}`.padEnd(40)
        const offset = await append(shard, [{ key, value }])
        newest.set(key, { offset, key, value, timestampMs: 1_000_000 })
        if (index === 150) await Effect.runPromise(engine.clean)
      }
      const before = shard.sizeBytes()
      await Effect.runPromise(engine.clean)
      const expected = [...newest.values()].filter((one) => one.value !== undefined).sort((a, b) => a.offset - b.offset)
      expect(await readAll(shard)).toEqual(expected)
      expect(shard.sizeBytes()).toBeLessThan(before / 3)
      expect(shard.endOffset()).toBe(300)
      expect(await append(shard, [{ key: "key-1", value: "last" }])).toBe(300)
      expect((await readAll(shard, { fromOffset: 299 })).at(-1)?.value).toBe("last")
    })

    it("leaves out what a key filter does not pass", async () => {
      const { engine, open: openShard } = await run()
      const shard = await openShard("a")
      for (let index = 0; index < 120; index++) {
        await append(shard, [{ key: index % 30 === 4 ? "quiet" : `loud-${index % 50}`, value: "x".repeat(150) }])
        if (index === 80) await Effect.runPromise(engine.clean)
      }
      const read = (fromOffset: number, bytesMax: number) =>
        Effect.runPromise(shard.read(fromOffset, { bytesMax, keyFilter: (key) => Buffer.from(key).toString() === "quiet" }))
      const all = await read(0, 100_000)
      const found = recordsOf(all.batches)
      expect(found.every((one) => one.key === "quiet")).toBe(true)
      const quiet = await readAll(shard, { keyFilter: (key) => Buffer.from(key).toString() === "quiet", bytesMax: 1 })
      expect(quiet.map((one) => one.offset)).toEqual([4, 34, 64, 94])
      expect((await read(95, 1)).nextOffset).toBe(120)
    })

    it("answers a random mix of appends, reads, trims, cleaning and starts as a plain list would", async () => {
      const command = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            kind: fc.constant("append" as const),
            keys: fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
            size: fc.nat(400)
          })
        },
        {
          weight: 3,
          arbitrary: fc.record({
            kind: fc.constant("read" as const),
            at: fc.double({ min: 0, max: 1, noNaN: true }),
            bytesMax: fc.nat(3000),
            key: fc.option(fc.nat(5))
          })
        },
        {
          weight: 1,
          arbitrary: fc.record({ kind: fc.constant("trim" as const), at: fc.double({ min: 0, max: 1, noNaN: true }) })
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant("clean" as const) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant("start" as const) }) }
      )
      await fc.assert(
        fc.asyncProperty(
          fc.array(command, { maxLength: 60, size: "max" }),
          fc.constantFrom("fsync", "interval", "os" as const),
          async (commands, durability) => {
            const store = makeStore()
            const options = { ...plainOptions, durability }
            let running = await start(store.layer)
            try {
              let shard = await running.open("a", options)
              const model: Array<StoredRecord> = []
              let startOffset = 0
              for (const one of commands) {
                if (one.kind === "append") {
                  const records = one.keys.map((key) => ({ key: `k${key}`, value: `${model.length}`.padEnd(one.size) }))
                  expect(await append(shard, records)).toBe(model.length)
                  for (const record of records) model.push({ ...record, offset: model.length, timestampMs: 1_000_000 })
                } else if (one.kind === "read") {
                  const from = startOffset + Math.floor(one.at * (model.length - startOffset))
                  const key = one.key === null ? undefined : `k${one.key}`
                  const keyFilter = key === undefined ? undefined : (bytes: Uint8Array) => Buffer.from(bytes).toString() === key
                  const result = await Effect.runPromise(shard.read(from, { bytesMax: one.bytesMax, keyFilter }))
                  const got = recordsOf(result.batches).filter((record) => record.offset >= from)
                  const wanted = model.slice(from, result.nextOffset)
                  const matching = (records: ReadonlyArray<StoredRecord>) =>
                    records.filter((record) => key === undefined || record.key === key)
                  expect(matching(got)).toEqual(matching(wanted))
                  if (from < model.length) expect(result.nextOffset).toBeGreaterThan(from)
                } else if (one.kind === "trim") {
                  startOffset = Math.max(startOffset, startOffset + Math.floor(one.at * (model.length - startOffset)))
                  await Effect.runPromise(shard.trim(startOffset))
                } else if (one.kind === "clean") await Effect.runPromise(running.engine.clean)
                else if (store.survives) {
                  await running.close()
                  running = await start(store.layer)
                  shard = await running.open("a", options)
                }
                expect([shard.startOffset(), shard.committedOffset(), shard.endOffset()]).toEqual([
                  startOffset,
                  model.length,
                  model.length
                ])
              }
              expect(await readAll(shard, { bytesMax: 700 })).toEqual(model.slice(startOffset))
            } finally {
              await running.close()
            }
          }
        ),
        { numRuns: 60 }
      )
    })
  })

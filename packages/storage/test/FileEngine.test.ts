import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { MetersService } from "@effectmq/metrics/Meters"
import { Meters } from "@effectmq/metrics/Meters"
import type { DiskFile } from "@effectmq/storage/Disk"
import * as DirectoryLock from "@effectmq/storage/DirectoryLock"
import * as FileEngine from "@effectmq/storage/FileEngine"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, describe, expect, it } from "vitest"
import { suite } from "./EngineSuite.js"
import {
  append,
  batchOf,
  fileLayer,
  idOf,
  plainOptions,
  readAll,
  type Running,
  run,
  seeded,
  start,
  startBare,
  until
} from "./Support.js"

suite("file engine", () => ({ layer: fileLayer(new SimulatedDisk(seeded(1))), survives: true }))

const value = "x".repeat(200)
const running: Array<Running> = []
const directories: Array<string> = []

const bare = async (disk: SimulatedDisk): Promise<Running> => {
  const one = await startBare(disk)
  running.push(one)
  return one
}

const stop = async (): Promise<void> => {
  for (const one of running.splice(0)) await one.close()
}

const temporary = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "effectmq-storage-"))
  directories.push(directory)
  return directory
}

afterEach(async () => {
  await stop()
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

const answered = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "stored",
    (error: { reason: string }) => error.reason
  )

const callsOf = (disk: SimulatedDisk, from: number): Array<string> =>
  Array.from({ length: disk.calls - from }, (_, index) => disk.callAt(from + index + 1))

describe("a disk without space", () => {
  it("refuses appends as full, goes on reading, and takes appends again when there is space", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const { open, engine, tick } = await bare(disk)
    const shard = await open("a")
    let stored = 0
    disk.full = true
    for (;;) {
      const answer = await answered(append(shard, [{ key: "k", value }]))
      if (answer === "full") break
      expect(answer).toBe("stored")
      stored++
    }
    expect(engine.fenced()).toMatchObject({ reason: "full" })
    expect(shard.endOffset()).toBe(stored)
    await tick()
    expect(await answered(append(shard, [{ key: "k", value }]))).toBe("full")
    expect(await readAll(shard)).toHaveLength(stored)
    await run(shard.trim(3))
    expect(shard.startOffset()).toBe(3)
    disk.full = false
    await tick()
    expect(engine.fenced()).toBeUndefined()
    expect(await append(shard, [{ key: "k", value }])).toBe(stored)
    await stop()
    const again = await (await bare(disk.restarted("lost"))).open("a")
    expect([again.startOffset(), again.committedOffset()]).toEqual([3, stored + 1])
  })

  it("starts for readers", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const shard = await (await bare(disk)).open("a")
    for (let index = 0; index < 100; index++) await append(shard, [{ key: "k", value }])
    await stop()
    const left = disk.restarted("lost")
    left.full = true
    const again = await bare(left)
    expect(await readAll(await again.open("a"))).toHaveLength(100)
  })
})

describe("a failed sync", () => {
  it("fences the engine for good; readers go on; a start finds what was acknowledged", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const { open, engine, tick } = await bare(disk)
    const shard = await open("a")
    for (let index = 0; index < 50; index++) await append(shard, [{ key: "k", value }])
    const before = disk.calls
    const attempts = [append(shard, [{ key: "k", value: "1" }])]
    await until(() => callsOf(disk, before).length > 0)
    disk.failAt(disk.calls + 1, { kind: "error", code: "EIO" })
    for (const name of ["2", "3"]) attempts.push(append(shard, [{ key: "k", value: name }]))
    expect(await Promise.all(attempts.map(answered))).toEqual(["fenced", "fenced", "fenced"])
    expect(engine.fenced()).toMatchObject({ reason: "fenced" })
    await tick()
    expect(await answered(append(shard, [{ key: "k", value }]))).toBe("fenced")
    expect(await answered(run(shard.trim(1)))).toBe("fenced")
    expect(await answered(open("new"))).toBe("fenced")
    expect(await readAll(shard)).toHaveLength(50)
    await stop()
    const again = await (await bare(disk.restarted("lost"))).open("a")
    expect(again.committedOffset()).toBeGreaterThanOrEqual(50)
  })
})

describe("durability", () => {
  const syncs = (disk: SimulatedDisk, from: number) => callsOf(disk, from).filter((call) => call.startsWith("sync /data/wal"))

  it("os: no sync; interval: one some time later; fsync: one for all that gathered", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const one = await start(fileLayer(disk, { walFileBytes: 100_000, syncIntervalMs: 5 }))
    running.push(one)
    const os = await one.open("os", { ...plainOptions, durability: "os" })
    const interval = await one.open("interval", { ...plainOptions, durability: "interval" })
    const fsync = await one.open("fsync")
    await append(fsync, [{ key: "k", value }])
    await until(() => syncs(disk, 0).length > 0)
    let from = disk.calls
    for (let index = 0; index < 5; index++) await append(os, [{ key: "k", value }])
    expect(syncs(disk, from)).toHaveLength(0)
    await append(interval, [{ key: "k", value }])
    expect(syncs(disk, from)).toHaveLength(0)
    await until(() => syncs(disk, from).length === 1)
    from = disk.calls
    await Promise.all(Array.from({ length: 10 }, () => append(fsync, [{ key: "k", value: "v" }])))
    expect(syncs(disk, from)).toHaveLength(1)
  })

  it("keeps answers of one shard in order when its durability changes under way", async () => {
    const { open } = await bare(new SimulatedDisk(seeded(3)))
    const shard = await open("a")
    const order: Array<number> = []
    const note = (index: number) => append(shard, [{ key: "k", value }]).then(() => order.push(index))
    const work = [note(0), note(1)]
    await open("a", { ...plainOptions, durability: "os" })
    work.push(note(2), note(3))
    await Promise.all(work)
    expect(order).toEqual([0, 1, 2, 3])
    await note(4)
    expect(shard.committedOffset()).toBe(5)
  })
})

describe("bounds", () => {
  it("thousands of shards share few open files and one log", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const one = await start(fileLayer(disk, { walFileBytes: 200_000 }))
    running.push(one)
    const shards = await Promise.all(Array.from({ length: 2000 }, (_, index) => one.open(`t${index}`)))
    await Promise.all(shards.map((shard, index) => append(shard, [{ key: "k", value: `v${index}` }])))
    await run(one.engine.clean)
    for (const index of [0, 999, 1999]) expect((await readAll(shards[index]))[0]?.value).toBe(`v${index}`)
    expect(disk.openFiles).toBeLessThan(20)
    const before = disk.calls
    await append(shards[7], [{ key: "k", value: "more" }])
    expect(callsOf(disk, before).filter((call) => !call.includes("/wal/"))).toEqual([])
  })

  it("a start reads the catalog and the log's tail, no segments and no indexes", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const shard = await (await bare(disk)).open("a")
    for (let index = 0; index < 300; index++) await append(shard, [{ key: `k${index}`, value }])
    await stop()
    const again = disk.restarted("kept")
    const { open } = await bare(again)
    expect(callsOf(again, 0).filter((call) => /^read .*segments/.test(call))).toEqual([])
    expect(await readAll(await open("a"))).toHaveLength(300)
  })

  it("refuses what waits to be written beyond its bound", async () => {
    const disk = new SimulatedDisk(seeded(3))
    const one = await start(fileLayer(disk, { gatheredBytesMax: 2000 }))
    running.push(one)
    const shard = await one.open("a")
    const answers = await Promise.all(Array.from({ length: 20 }, () => answered(append(shard, [{ key: "k", value }]))))
    expect(answers.filter((answer) => answer === "stored").length).toBeGreaterThan(3)
    expect(answers.filter((answer) => answer === "full").length).toBeGreaterThan(3)
    expect(await readAll(shard)).toHaveLength(answers.filter((answer) => answer === "stored").length)
  })

  it("takes other sizes of log files at the next start", async () => {
    const disk = new SimulatedDisk(seeded(3))
    let stored = 0
    for (const walFileBytes of [8192, 16384, 5000]) {
      const one = await start(fileLayer(disk, { walFileBytes }))
      const shard = await one.open("a")
      for (let index = 0; index < 60; index++) expect(await append(shard, [{ key: "k", value }])).toBe(stored++)
      expect(await readAll(shard)).toHaveLength(stored)
      await one.close()
    }
  })
})

describe("a lost or damaged file", () => {
  const filled = async () => {
    const disk = new SimulatedDisk(seeded(3))
    const shard = await (await bare(disk)).open("a")
    for (let index = 0; index < 100; index++) await append(shard, [{ key: `k${index % 10}`, value: `${index}`.padEnd(200) }])
    await stop()
    return disk.restarted("kept")
  }
  const named = (disk: SimulatedDisk, pattern: RegExp) =>
    disk
      .list("/data/segments")
      .filter((name) => pattern.test(name))
      .map((name) => `/data/segments/${name}`)

  it("a lost index is made anew from its segment", async () => {
    const disk = await filled()
    for (const path of named(disk, /index$/)) disk.unlink(path)
    const shard = await (await bare(disk)).open("a")
    expect(await readAll(shard, { bytesMax: 1 })).toHaveLength(100)
    expect(await readAll(shard, { keyFilter: (key) => Buffer.from(key).toString() === "k3" })).toHaveLength(10)
    expect(await run(shard.offsetForTimestamp(5))).toBe(0)
  })

  it("a damaged segment fails reads of it and no others", async () => {
    const disk = await filled()
    const [first] = named(disk, /^1-0-0\.log$/)
    disk.flipBit(first as string, 8 * 700)
    const shard = await (await bare(disk)).open("a")
    expect(await answered(readAll(shard))).toBe("corrupt")
    expect((await readAll(shard, { fromOffset: 60 })).length).toBe(40)
    expect(await append(shard, [{ key: "k", value }])).toBe(100)
  })

  it("a lost segment, catalog or part of the log is told at the start", async () => {
    for (const [paths, message] of [
      [(disk: SimulatedDisk) => named(disk, /^1-0-0\.log$/), /1-0-0\.log is missing/],
      [() => ["/data/catalog"], /no catalog/],
      [
        (disk: SimulatedDisk) => disk.list("/data/wal").map((name) => `/data/wal/${name}`),
        /part \d+ of the write-ahead log is missing/
      ]
    ] as const) {
      const disk = await filled()
      for (const path of paths(disk)) disk.unlink(path)
      await expect(startBare(disk)).rejects.toMatchObject({ reason: "corrupt", message: expect.stringMatching(message) })
    }
  })
})

it("a key filter reads little of what it does not pass", async () => {
  class CountingDisk extends SimulatedDisk {
    bytesRead = 0
    override async read(file: DiskFile, target: Uint8Array, position: number): Promise<number> {
      const count = await super.read(file, target, position)
      this.bytesRead += count
      return count
    }
  }
  const disk = new CountingDisk(seeded(3))
  const one = await start(fileLayer(disk, { walFileBytes: 300_000, groupBytesMax: 100_000, segmentBytes: 1_000_000 }))
  running.push(one)
  const shard = await one.open("a")
  for (let index = 0; index < 300; index++) {
    await append(shard, [{ key: index === 150 ? "quiet" : `loud-${index % 9}`, value: "x".repeat(2000) }])
  }
  await run(one.engine.clean)
  disk.bytesRead = 0
  const found = await readAll(shard, { keyFilter: (key) => Buffer.from(key).toString() === "quiet" })
  expect(found.map((record) => record.offset)).toEqual([150])
  expect(disk.bytesRead).toBeLessThan(20_000)
})

it("keeps the record that removes a key until readers had time to see it", async () => {
  const one = await start(fileLayer(new SimulatedDisk(seeded(3)), { tombstoneRetentionMs: 60_000 }))
  running.push(one)
  const shard = await one.open("a", { durability: "fsync", cleanup: "compact" })
  await append(shard, [
    { key: "a", value: "1" },
    { key: "b", value: "2" }
  ])
  await append(shard, [{ key: "a", value: undefined, timestampMs: Date.now() }])
  await append(shard, [{ key: "b", value: undefined, timestampMs: 1 }])
  await run(one.engine.clean)
  expect((await readAll(shard)).map(({ key, value }) => [key, value])).toEqual([["a", undefined]])
})

describe("on this machine's disk", () => {
  it("brings back what was stored, in one process after another", async () => {
    const directory = temporary()
    const layer = FileEngine.layer({ directory, walFileBytes: 65536, segmentBytes: 100_000 })
    for (let round = 0; round < 3; round++) {
      const one = await start(layer)
      const shard = await one.open("a")
      expect(shard.committedOffset()).toBe(round * 200)
      for (let index = 0; index < 50; index++) {
        await Promise.all(Array.from({ length: 4 }, () => append(shard, [{ key: `k${index}`, value: `${round}`.padEnd(300) }])))
      }
      if (round === 1) await run(one.engine.clean)
      expect(await readAll(shard, { bytesMax: 5000 })).toHaveLength((round + 1) * 200)
      await one.close()
    }
  })

  it("refuses a second start on one directory, naming the holder, and none after the holder is gone", async () => {
    const directory = temporary()
    const layer = FileEngine.layer({ directory, walFileBytes: 65536 })
    const one = await start(layer)
    await expect(start(layer)).rejects.toMatchObject({
      reason: "locked",
      message: expect.stringMatching(new RegExp(`${directory} is in use by process ${process.pid}`))
    })
    await one.close()
    await (await start(layer)).close()
  })

  it("can be held before anything in it is opened", async () => {
    const directory = join(temporary(), "data")
    const once = Effect.scoped(Layer.build(DirectoryLock.layer(directory)))
    const twice = Effect.scoped(Effect.zipRight(Layer.build(DirectoryLock.layer(directory)), Effect.flip(once)))
    const message = `the directory ${directory} is in use by process ${process.pid}`
    expect(await run(twice)).toMatchObject({ reason: "locked", message })
    await run(once)
  })

  it("is free again when the holder was killed", async () => {
    const directory = temporary()
    const holder = `
      const { createRequire } = require("node:module")
      const { writeFileSync } = require("node:fs")
      const Database = createRequire(${JSON.stringify(import.meta.url)})("better-sqlite3")
      const database = new Database(${JSON.stringify(join(directory, "lock"))})
      database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
      writeFileSync(${JSON.stringify(join(directory, "lock.owner"))}, String(process.pid))
      process.stdout.write("held")
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ["-e", holder], { stdio: ["ignore", "pipe", "inherit"] })
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()))
    const layer = FileEngine.layer({ directory, walFileBytes: 65536 })
    await expect(start(layer)).rejects.toMatchObject({
      reason: "locked",
      message: expect.stringContaining(`process ${child.pid}`)
    })
    child.kill("SIGKILL")
    await ended
    await (await start(layer)).close()
  })
})

it("finds the engine that a topic asks for, and reports its figures", async () => {
  const read = new Map<string, () => number>()
  const seconds: Array<number> = []
  const bytes = { value: 0 }
  const meters: MetersService = {
    counter: () => bytes,
    observableCounter: () => {},
    gauge: (name, _help, reader) => void read.set(name, reader),
    histogram: () => ({ observe: (took) => void seconds.push(took) }),
    snapshot: () => new Map(),
    value: () => undefined,
    summary: () => undefined
  }
  const layer = ShardEngines.layer({ memory: {}, file: { directory: temporary(), walFileBytes: 65536 } }).pipe(
    Layer.provide(Layer.succeed(Meters, meters))
  )
  const program = Effect.gen(function* () {
    const engines = yield* ShardEngines.ShardEngines
    expect(engines.all.map((engine) => engine.name)).toEqual(["memory", "file"])
    const file = yield* engines.engine("file")
    const shard = yield* file.open(idOf("a"), plainOptions)
    yield* Effect.promise(() => append(shard, [{ key: "k", value }]))
    expect((yield* (yield* engines.engine("memory")).list).length).toBe(0)
  })
  await Effect.runPromise(Effect.provide(program, layer))
  expect(seconds.length).toBeGreaterThan(0)
  expect(bytes.value).toBeGreaterThan(batchOf([{ key: "k", value }]).length)
  expect(read.get("effectmq_wal_fenced")?.()).toBe(1)
  const memoryOnly = Effect.flatMap(ShardEngines.ShardEngines, (engines) => engines.engine("file"))
  expect(await Effect.runPromise(Effect.flip(Effect.provide(memoryOnly, ShardEngines.layer({}))))).toMatchObject({
    reason: "closed"
  })
})

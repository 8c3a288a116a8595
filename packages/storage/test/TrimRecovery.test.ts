/**
 * Trimming, and what a restart makes of it.
 */
import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { describe, expect, it } from "vitest"
import { saveCatalog } from "../src/internal/file/Catalog.js"
import { append, idOf, readAll, run, startBare, until } from "./Support.js"

const records = (...values: ReadonlyArray<string>) => values.map((value) => ({ key: "k", value }))

describe("a trimmed shard of the file engine", () => {
  it("can be read where its segment has a gap and the index was lost", async () => {
    // Below 0.3: a power loss takes all that was not synced.
    const disk = new SimulatedDisk(() => 0.1)
    const before = await startBare(disk)
    const shard = await before.open("t")
    await append(shard, records("a", "b"))
    await run(before.engine.clean)
    await append(shard, records("c", "d"))
    await append(shard, records("e", "f"))
    await run(shard.trim(4))
    await run(before.engine.clean)
    disk.crash()

    const after = await startBare(disk.restarted("lost"))
    const again = await after.open("t")
    expect((await readAll(again)).map(({ offset, value }) => `${offset}${value}`)).toEqual(["4e", "5f"])
    await after.close()
  })

  it("comes back when it was trimmed in the middle of a batch that is only in the log", async () => {
    const disk = new SimulatedDisk(() => 0.9)
    const before = await startBare(disk)
    const other = await before.open("other")
    await append(other, records("x"))
    await run(before.engine.clean)
    const shard = await before.open("t")
    await append(shard, records("a", "b", "c", "d"))
    await run(shard.trim(2))
    // Saves the catalog without writing anything behind.
    const calls = disk.calls
    await run(before.engine.remove(idOf("other")))
    await until(() => disk.calls > calls + 4 && disk.callAt(disk.calls).startsWith("unlink /data/segments"))
    disk.crash()

    const after = await startBare(disk.restarted("kept"))
    const again = await after.open("t")
    expect(again.startOffset()).toBe(2)
    expect((await readAll(again)).map(({ offset, value }) => `${offset}${value}`)).toEqual(["2c", "3d"])
    expect(await append(again, records("e"))).toBe(4)
    await after.close()
  })

  it("goes on behind its start where an unsynced batch was lost that the start lies in", async () => {
    const disk = new SimulatedDisk(() => 0.9)
    await (await startBare(disk)).close()
    const shards = [{ number: 1, name: "default/t/0", startOffset: 2, storedOffset: 0, segments: [] }]
    await saveCatalog(disk, "/data", { walSequence: 1, nextShardNumber: 2, shards })
    const after = await startBare(disk.restarted("kept"))
    const again = await after.open("t", { durability: "os", cleanup: "delete" })
    expect([again.startOffset(), again.committedOffset(), again.endOffset()]).toEqual([2, 2, 2])
    expect(await append(again, records("e"))).toBe(2)
    expect((await readAll(again)).map(({ offset, value }) => `${offset}${value}`)).toEqual(["2e"])
    await after.close()
  })
})

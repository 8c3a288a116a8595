/**
 * What of the real disk the suites of the engines do not come by.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeDisk from "@effectmq/storage/NodeDisk"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const disk = NodeDisk.make

describe("directories", () => {
  let folder = ""
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "effectmq-disk-"))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("are made with those above them, and are no matter where they are there", () => {
    for (let time = 0; time < 2; time++) disk.makeDirectory(join(folder, "a", "b", "c"))
    expect(readdirSync(join(folder, "a", "b"))).toEqual(["c"])
    disk.makeDirectory("/")
  })

  it("are not made where a file is in the way", () => {
    writeFileSync(join(folder, "file"), "")
    expect(() => disk.makeDirectory(join(folder, "file"))).toThrow(/cannot make the directory .*file: EEXIST/)
    expect(() => disk.makeDirectory(join(folder, "file", "b", "c"))).toThrow(/ENOTDIR/)
  })

  it.skipIf(!existsSync("/proc/self"))("are given up where the system has no place for one", () => {
    expect(() => disk.makeDirectory("/proc/nothing")).toThrow(/cannot make the directory \/proc\/nothing: ENOENT/)
    expect(() => disk.makeDirectory("/proc/nothing/below")).toThrow(/ENOENT/)
  })
})

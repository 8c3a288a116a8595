import * as MemoryEngine from "@effectmq/storage/MemoryEngine"
import { afterEach, expect, it } from "vitest"
import { suite } from "./EngineSuite.js"
import { append, plainOptions, type Running, start } from "./Support.js"

suite("memory engine", () => ({
  layer: MemoryEngine.layer({ batchBytesMax: 4096, tombstoneRetentionMs: 0 }),
  survives: false
}))

let running: Running | undefined
afterEach(async () => running?.close())

it("refuses at its bound what retention does not make room for", async () => {
  running = await start(MemoryEngine.layer({ bytesMax: 20_000 }))
  const kept = await running.open("kept")
  const value = "x".repeat(900)
  for (let index = 0; index < 10; index++) await append(kept, [{ key: "k", value }])
  const cut = await running.open("cut", { ...plainOptions, retentionMs: 1 })
  for (let index = 0; index < 30; index++) await append(cut, [{ key: "k", value }])
  expect(cut.startOffset()).toBeGreaterThan(0)
  expect(kept.startOffset()).toBe(0)
  for (;;) {
    const refused = await append(kept, [{ key: "k", value }]).then(
      () => undefined,
      (error) => error
    )
    if (refused === undefined) continue
    expect(refused).toMatchObject({ reason: "full" })
    break
  }
  expect(kept.sizeBytes() + cut.sizeBytes()).toBeLessThanOrEqual(20_000)
})

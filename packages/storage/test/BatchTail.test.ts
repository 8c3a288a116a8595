import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "vitest"
import { BatchTail } from "../src/internal/BatchTail.js"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

describe("BatchTail", () => {
  it("lets go of what was dropped, however little that is", async () => {
    const tail = new BatchTail()
    const first = (() => {
      const batch = new Uint8Array(100_000)
      tail.push(batch)
      return new WeakRef(batch)
    })()
    tail.push(new Uint8Array(10))
    tail.dropFirst(1)
    // A reference made in this turn is kept until its end.
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
    expect(first.deref()).toBeUndefined()
    expect([tail.count, tail.sizeBytes, tail.at(0).length]).toEqual([1, 10, 10])
  })
})

/** Sweeps that run while something waits. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { expect, test } from "vitest"
import { Sweeps } from "../src/internal/Sweeps.js"
import { until } from "./support/MemoryCluster.js"

test("sweeps come again while they are needed, none while they are not, and begin anew", async () => {
  let left = 0
  let asked = 0
  const swept: Array<number> = []
  const sweeps = new Sweeps(
    1,
    () => {
      asked++
      return left > 0
    },
    (now) => {
      swept.push(now)
      left--
    }
  )
  const fiber = Effect.runFork(sweeps.run)
  for (const more of [3, 2]) {
    const before = swept.length
    left = more
    sweeps.needed()
    await until(() => left === 0)
    await until(() => asked > swept.length)
    // A call that comes for nothing lets it look once.
    expect(swept.length).toBe(before + more)
  }
  expect([...swept].sort((a, b) => a - b)).toEqual(swept)
  await Effect.runPromise(Fiber.interrupt(fiber))
})

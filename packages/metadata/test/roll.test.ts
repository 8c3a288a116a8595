/** Which nodes the leader has heard of. */
import { expect, it } from "vitest"
import { Roll } from "../src/internal/Roll.js"

it("counts a node that was taken back as heard, so that it is not fenced again before its first sign of life", () => {
  const roll = new Roll()
  roll.begin(1, 0)
  roll.heard(2, 100)
  roll.stands(2, false, 1_000)
  expect(roll.silentMs(2, 1_000)).toBe(900)
  roll.stands(2, true, 2_000)
  expect(roll.silentMs(2, 2_000)).toBe(1_900)
  roll.stands(2, false, 3_000)
  expect(roll.silentMs(2, 3_000)).toBe(0)
  roll.stands(2, false, 3_500)
  expect(roll.silentMs(2, 3_500)).toBe(500)
})

it("counts a node that registers long after the leader began as heard", () => {
  const roll = new Roll()
  roll.begin(1, 0)
  roll.stands(3, false, 60_000)
  expect(roll.silentMs(3, 60_000)).toBe(0)
  roll.stands(3, false, 61_000)
  expect(roll.silentMs(3, 61_000)).toBe(1_000)
  roll.stands(4, true, 61_000)
  expect(roll.isThere(4, 61_000, 2_000)).toBe(false)
})

it("knows a time that more than half of the clocks have passed, whatever the others say", () => {
  const roll = new Roll()
  roll.begin(1, 0)
  const three = [1, 2, 3]
  expect(roll.passedMs(three, 0)).toBeUndefined()
  roll.clockSays(1, 90_000, 0)
  expect(roll.passedMs([1], 10)).toBe(90_010)
  expect(roll.passedMs(three, 10)).toBeUndefined()
  roll.clockSays(2, 1_000, 100)
  // The one that is far ahead may be either of them.
  expect(roll.passedMs(three, 100)).toBe(1_000)
  roll.clockSays(3, 1_300, 200)
  expect(roll.passedMs(three, 300)).toBe(1_400)
  expect(roll.passedMs([1, 2], 300)).toBe(1_200)
  expect(roll.passedMs([1, 2, 3, 4, 5], 300)).toBe(1_200)
  expect(roll.passedMs([1, 2, 3, 4, 5, 6], 300)).toBeUndefined()
  // One that was ahead and is set right.
  roll.clockSays(1, 1_500, 400)
  expect(roll.passedMs([1, 2], 400)).toBe(1_300)
  roll.begin(2, 1_000)
  expect(roll.passedMs([1], 1_000)).toBeUndefined()
})

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

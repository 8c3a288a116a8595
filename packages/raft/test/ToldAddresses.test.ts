/** Where others say they are: the newest word counts, and only so many are kept. */
import { expect, it } from "vitest"
import { ToldAddresses } from "../src/internal/ToldAddresses.js"

it("keeps the newest address of each, and of so many nodes", () => {
  const told = new ToldAddresses(3)
  for (const nodeId of [1, 2, 3]) told.set(nodeId, `node-${nodeId}:1`)
  told.set(1, "elsewhere:1")
  told.set(2, "node-2:1")
  expect([1, 2, 3].map((nodeId) => told.get(nodeId))).toEqual(["elsewhere:1", "node-2:1", "node-3:1"])
  told.set(4, "node-4:1")
  expect([1, 2, 3, 4].map((nodeId) => told.get(nodeId))).toEqual(["elsewhere:1", undefined, "node-3:1", "node-4:1"])
  told.forget(4)
  expect(told.get(4)).toBeUndefined()
})

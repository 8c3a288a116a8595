import { type Place, WaitingLine } from "@effectmq/security/core/WaitingLine"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

describe("WaitingLine", () => {
  it("lets in no more than may work, in the order of coming, whoever goes away meanwhile", () => {
    const step = fc.oneof(
      fc.constant({ kind: "enter" as const }),
      fc.record({ kind: fc.constant("leave" as const), which: fc.nat(20) })
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.nat(5),
        fc.array(step, { maxLength: 100 }),
        (workingMax, waitingMax, steps) => {
          const line = new WaitingLine(workingMax, waitingMax)
          const begun: Array<number> = []
          const model: Array<{ readonly id: number; readonly place: Place }> = []
          let id = 0
          for (const each of steps) {
            if (each.kind === "enter") {
              expect(line.isFull).toBe(model.length >= workingMax + waitingMax)
              if (line.isFull) continue
              const mine = id++
              const place: Place = { state: "new", begin: () => begun.push(mine) }
              model.push({ id: mine, place })
              line.enter(place)
            } else {
              const [left] = model.splice(each.which, 1)
              if (left === undefined) continue
              line.leave(left.place)
              line.leave(left.place)
            }
            // The first that are there work, the others wait.
            expect(model.map(({ place }) => place.state)).toEqual(
              model.map((_, index) => (index < workingMax ? "working" : "waiting"))
            )
          }
          expect(begun).toEqual([...begun].sort((a, b) => a - b))
        }
      )
    )
  })
})

/** What whoever changes the cluster is told where only a part of it was done. */
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import * as Effect from "effect/Effect"
import { expect, it, vi } from "vitest"
import * as Control from "../src/internal/Control.js"
import { memberOf } from "./support/MemoryCluster.js"

/** Through node 1, which leads until the membership is changed. */
const removing = async (nodeId: number, members: ReadonlyArray<number>) => {
  const changes: Array<unknown> = []
  const control = Control.make({
    nodeId: 1,
    local: { changeMembership: (change: unknown) => Effect.sync(() => void changes.push(change)) },
    leaders: { now: () => ({ member: memberOf(1), term: 1 }), after: () => Effect.never },
    fault: () => undefined,
    metadata: { sync: Effect.never },
    isMember: (id: number) => members.includes(id),
    members: () => members.map(memberOf),
    controller: {
      submit: () =>
        Effect.fail(new MetadataUnavailable({ reason: "timeout", message: "nobody answers, the change was not made" }))
    }
  } as unknown as Control.ControlParts)
  const error = await Effect.runPromise(Effect.flip(control.removeNode(nodeId)))
  return { error, changes: changes.length }
}

it("a node that was taken out, and not off the list, is told as such", async () => {
  const { error, changes } = await removing(2, [1, 2, 3])
  expect(changes).toBe(1)
  expect(error).toMatchObject({
    reason: "unknown",
    message: expect.stringMatching(/^node 2 takes part no more, but .* once more/)
  })
})

it("an observer that could not be taken off the list was not taken out", async () => {
  expect((await removing(9, [1, 2, 3])).error).toMatchObject({ reason: "timeout" })
})

it("whoever promotes a node is told in the end that it has not caught up, in the words of the leader", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  try {
    const waits: Array<number> = []
    const late = new MetadataUnavailable({ reason: "timeout", message: "node 4 has not caught up in time, it is a learner" })
    const control = Control.make({
      nodeId: 1,
      local: {
        changeMembership: ({ change, waitMsMax }: { readonly change: { readonly _tag: string }; readonly waitMsMax: number }) => {
          if (change._tag === "AddLearner") return Effect.void
          waits.push(waitMsMax)
          return Effect.zipRight(Effect.sleep(waitMsMax), Effect.fail(late))
        }
      },
      leaders: { now: () => ({ member: memberOf(1), term: 1 }), after: () => Effect.never },
      metadata: { sync: Effect.never },
      fault: () => undefined
    } as unknown as Control.ControlParts)
    const told = Effect.runPromise(Effect.flip(control.addNode({ ...memberOf(4), voter: true })))
    await vi.advanceTimersByTimeAsync(61_000)
    expect(await told).toBe(late)
    expect(waits.slice(0, 2)).toEqual([20_000, 20_000])
    expect(Math.max(...waits)).toBeLessThan(30_000)
  } finally {
    vi.useRealTimers()
  }
})

/**
 * Who is asked to lead when a leader stops in order, and in which turn.
 */
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import type { RaftMachine } from "../src/core/RaftMachine.js"
import { makeHandOver } from "../src/internal/HandOver.js"
import { RaftUnavailable } from "../src/RaftUnavailable.js"

const follower = (nodeId: number, matchIndex: number) => ({ nodeId, matchIndex, heardEver: true, silentTicks: 0 })

const standing = {
  role: "leader" as RaftMachine["role"],
  electionTicks: 8,
  transferTo: 0,
  membership: { voters: [1, 2, 3, 4], outgoingVoters: [], learners: [5], members: [] },
  followers: [follower(2, 10), follower(3, 12), follower(4, 11)]
}

/** Who was asked, where nobody takes over until `takes` is. */
const asked = async (changed: Partial<typeof standing>, takes = 0): Promise<ReadonlyArray<number>> => {
  const machine = { ...standing, ...changed }
  const all: Array<number> = []
  const handOver = makeHandOver(machine as unknown as RaftMachine, (to) =>
    Effect.suspend(() => {
      all.push(to)
      if (to !== takes) return Effect.fail(new RaftUnavailable({ reason: "timeout", message: "it did not take over" }))
      machine.role = "follower"
      return Effect.void
    })
  )
  await Effect.runPromise(handOver)
  await Effect.runPromise(handOver)
  return all
}

it("the voters are asked that are there, who has most of the log first, each once", async () => {
  expect(await asked({})).toEqual([3, 4, 2])
  expect(await asked({}, 4)).toEqual([3, 4])
  expect(await asked({ transferTo: 2 })).toEqual([2])
})

it("nobody is asked who has no vote, was never heard of, or not within an election timeout", async () => {
  expect(await asked({ followers: [follower(5, 12), follower(2, 1)] })).toEqual([2])
  expect(await asked({ followers: [{ ...follower(3, 12), heardEver: false }, follower(2, 1)] })).toEqual([2])
  expect(
    await asked({
      followers: [
        { ...follower(3, 12), silentTicks: 8 },
        { ...follower(2, 1), silentTicks: 7 }
      ]
    })
  ).toEqual([2])
})

it("who does not lead asks nobody", async () => {
  expect(await asked({ role: "follower" })).toEqual([])
})

/**
 * Changes and transfers that were asked for: what is answered when, where a whole group seldom comes.
 */
import { expect, it } from "vitest"
import type { RaftMachine } from "../src/core/RaftMachine.js"
import { LeaderWishes } from "../src/internal/LeaderWishes.js"
import type { RaftUnavailable } from "../src/RaftUnavailable.js"

const standing = {
  role: "leader" as RaftMachine["role"],
  term: 2,
  leaderId: 1,
  commitIndex: 12,
  membershipIndex: 12,
  membership: { voters: [1, 2], outgoingVoters: [] as ReadonlyArray<number>, learners: [], members: [] },
  termAt: (index: number) => (index > 11 ? 2 : -1),
  changeMembership: () => 10
}

const outcomeWith = (changed: Partial<typeof standing>): RaftUnavailable | "done" | undefined => {
  const wishes = new LeaderWishes({ ...standing, ...changed } as unknown as RaftMachine, 10)
  let outcome: RaftUnavailable | "done" | undefined
  wishes.change({ _tag: "Remove", nodeId: 3 }, (error) => {
    outcome = error ?? "done"
  })
  wishes.begin()
  wishes.settle()
  return outcome
}

it("a change is done when its last entry is committed, also where the log was cut behind its first", () => {
  expect(outcomeWith({})).toBe("done")
  expect(outcomeWith({ termAt: () => 2 })).toBe("done")
  expect(outcomeWith({ commitIndex: 11 })).toBeUndefined()
  expect(outcomeWith({ membershipIndex: 9 })).toBeUndefined()
  expect(outcomeWith({ membership: { ...standing.membership, outgoingVoters: [1, 2, 3] } })).toBeUndefined()
})

it("a change is unknown where leadership ended before it was done", () => {
  expect(outcomeWith({ commitIndex: 11, role: "follower" })).toMatchObject({ reason: "no-leader" })
})

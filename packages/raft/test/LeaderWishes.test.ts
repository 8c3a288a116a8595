/**
 * Changes and transfers that were asked for: what is answered when, where a whole group seldom comes.
 */
import { describe, expect, it } from "vitest"
import type { RaftMachine } from "../src/core/RaftMachine.js"
import { LeaderWishes } from "../src/internal/LeaderWishes.js"
import { RaftUnavailable } from "../src/RaftUnavailable.js"

const standing = {
  role: "leader" as RaftMachine["role"],
  term: 2,
  leaderId: 1,
  commitIndex: 12,
  membershipIndex: 12,
  membership: { voters: [1, 2], outgoingVoters: [] as ReadonlyArray<number>, learners: [], members: [] },
  termAt: (index: number) => (index > 11 ? 2 : -1),
  transferTo: 0,
  changeMembership: () => 10,
  transferLeadership: () => undefined
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

describe("what is under way", () => {
  const begun = (wish: "change" | "transfer", machine: typeof standing) => {
    const outcomes: Array<string> = []
    const wishes = new LeaderWishes(machine as unknown as RaftMachine, 3)
    const answer = (error: RaftUnavailable | undefined) => outcomes.push(error?.reason ?? "done")
    if (wish === "change") wishes.change({ _tag: "Remove", nodeId: 3 }, answer)
    else wishes.transfer(2, answer)
    wishes.begin()
    wishes.settle()
    return { outcomes, wishes }
  }

  it.each([
    ["change", { ...standing, commitIndex: 11 }],
    ["transfer", { ...standing, role: "follower" as const, leaderId: 0, term: 3 }],
    ["transfer", { ...standing, transferTo: 2 }]
  ] as const)("a %s is given up in time, and answered once", (wish, machine) => {
    const { outcomes, wishes } = begun(wish, { ...standing, ...machine })
    for (let ticks = 0; ticks < 2; ticks++) {
      wishes.tick()
      wishes.settle()
    }
    expect(outcomes).toEqual([])
    wishes.tick()
    wishes.settle()
    expect(outcomes).toEqual(["timeout"])
    wishes.failAll(new RaftUnavailable({ reason: "closed", message: "" }))
    expect(outcomes).toHaveLength(1)
  })

  it("a transfer is done when the other leads in a later term, and over when this one leads on or a third one leads", () => {
    const machine = { ...standing, transferTo: 2 }
    const { outcomes, wishes } = begun("transfer", machine)
    Object.assign(machine, { role: "follower", leaderId: 2 })
    wishes.settle()
    expect(outcomes).toEqual([])
    machine.term = 3
    wishes.settle()
    expect(outcomes).toEqual(["done"])
    expect(begun("transfer", standing).outcomes).toEqual(["timeout"])
    const third = { ...standing, transferTo: 2 }
    const lost = begun("transfer", third)
    Object.assign(third, { role: "follower", leaderId: 3, term: 3 })
    lost.wishes.settle()
    expect(lost.outcomes).toEqual(["timeout"])
  })

  it("a member that stands still begins nothing, does not wait for a transfer, and waits on for a change", () => {
    const full = new RaftUnavailable({ reason: "full", message: "no space" })
    const transfer = begun("transfer", { ...standing, transferTo: 2 })
    transfer.wishes.change({ _tag: "Remove", nodeId: 3 }, (error) => transfer.outcomes.push(`new ${error?.reason}`))
    transfer.wishes.standStill(full)
    transfer.wishes.begin()
    expect(transfer.outcomes).toEqual(["new full", "timeout"])
    const machine = { ...standing, commitIndex: 11 }
    const change = begun("change", machine)
    change.wishes.standStill(full)
    expect(change.outcomes).toEqual([])
    machine.commitIndex = 12
    change.wishes.settle()
    expect(change.outcomes).toEqual(["done"])
  })
})

/**
 * What a change makes of a membership, at its limits.
 */
import type { Membership } from "@effectmq/schemas/raft/Membership"
import { describe, expect, it } from "vitest"
import { firstMembership, learnersMax, planChange, votersMax } from "../src/core/MembershipChange.js"
import { memberOf } from "./support/Group.js"

const membersOf = (count: number, from = 1) => Array.from({ length: count }, (_, at) => memberOf(from + at))

/** So many voters, and learners behind them. */
const membershipOf = (voters: number, learners: number): Membership => ({
  ...firstMembership(membersOf(voters)),
  learners: membersOf(learners, voters + 1).map(({ nodeId }) => nodeId),
  members: membersOf(voters + learners)
})

describe("a membership", () => {
  it("has so many voters and no more", () => {
    const last = planChange(membershipOf(votersMax - 1, 2), { _tag: "Promote", nodeId: votersMax })
    expect("next" in last && last.next.voters).toHaveLength(votersMax)
    expect("next" in last && last.next.learners).toEqual([votersMax + 1])
    const beyond = planChange(membershipOf(votersMax, 1), { _tag: "Promote", nodeId: votersMax + 1 })
    expect(beyond).toEqual({ problem: "there are 9 voters already" })
  })

  it("has so many learners and no more", () => {
    const added = memberOf(100)
    const last = planChange(membershipOf(1, learnersMax - 1), { _tag: "AddLearner", member: added })
    expect("next" in last && last.next.learners).toHaveLength(learnersMax)
    expect("next" in last && last.next.members.at(-1)).toEqual(added)
    const beyond = planChange(membershipOf(1, learnersMax), { _tag: "AddLearner", member: added })
    expect(beyond).toEqual({ problem: "there are 16 learners already" })
  })
})

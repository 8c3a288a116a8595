/**
 * What the watch of a Raft group takes for committed where no command is applied and no message says so.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import { expect, it } from "vitest"
import { GroupWatch } from "./cluster/GroupWatch.js"
import { Violations } from "./cluster/Violations.js"

const nothing = { hardState: { term: 0, votedFor: 0, commitIndex: 0 }, snapshot: undefined, entries: [] }

const membershipOf = (voters: ReadonlyArray<number>, learners: ReadonlyArray<number>): Membership => ({
  voters,
  outgoingVoters: [],
  learners,
  members: [...voters, ...learners].map((nodeId) => ({ nodeId, address: `node-${nodeId}:1` }))
})

/** Node 1 leads `voters`, adds node 4 as a learner with its last entry, and takes a snapshot of all, which node 4 receives. */
const watched = (voters: ReadonlyArray<number>): ReadonlyArray<string> => {
  const violations = new Violations(() => undefined)
  const group = new GroupWatch(violations)
  for (const nodeId of [...voters, 4]) group.storeOpened(nodeId, nothing)
  const first: ReadonlyArray<Entry> = [
    { kind: "membership", index: 1, term: 0, membership: membershipOf(voters, []) },
    { kind: "noop", index: 2, term: 1 }
  ]
  const membership = membershipOf(voters, [4])
  const added: ReadonlyArray<Entry> = [{ kind: "membership", index: 3, term: 1, membership }]
  for (const nodeId of voters) {
    const write = { hardState: { term: 1, votedFor: 1, commitIndex: 0 }, entries: first }
    group.storeTold(nodeId, write)
    group.storeDurable(nodeId, write)
  }
  group.storeTold(1, { entries: added })
  group.storeDurable(1, { entries: added })
  const snapshot = { index: 3, term: 1, membership, chunks: 1, bytes: 1 }
  group.snapshotCompleted(1, snapshot, "keep")
  group.snapshotCompleted(4, snapshot, "discard")
  return violations.all
}

it("takes what a leader alone has made a snapshot of for committed, also a membership behind the last command", () => {
  expect(watched([1])).toEqual([])
})

it("takes the first membership for committed from the beginning, also on a member that hears nobody yet", () => {
  const violations = new Violations(() => undefined)
  const group = new GroupWatch(violations)
  const membership = membershipOf([1, 2, 3], [])
  group.storeOpened(1, nothing)
  const write = { entries: [{ kind: "membership", index: 1, term: 0, membership } as const] }
  group.storeTold(1, write)
  group.storeDurable(1, write)
  group.snapshotCompleted(1, { index: 1, term: 0, membership, chunks: 1, bytes: 1 }, "keep")
  expect(violations.all).toEqual([])
})

it("tells of a snapshot of what no majority has", () => {
  expect(watched([1, 2, 3])).toEqual(["node 1 calls entry 3 of term 1 committed, durable on 1 of 1,2,3 learning 4"])
})

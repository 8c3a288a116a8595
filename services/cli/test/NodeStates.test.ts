/** How `effectmq cluster status` tells of nodes that are not well. */
import { AddNodeBody, ClusterNode, type NodeReport } from "@effectmq/schemas/admin/Cluster"
import * as Schema from "effect/Schema"
import { expect, it } from "vitest"
import { notReplaced, remarksOn, stateOf } from "../src/NodeStates.js"

const report: NodeReport = {
  nodeId: 1,
  role: "follower",
  term: 3,
  leaderId: 2,
  firstIndex: 1,
  lastIndex: 9,
  commitIndex: 9,
  appliedIndex: 9,
  snapshotIndex: 0,
  imageVersion: 17,
  chainHash: "ab",
  imageHash: "ab"
}

const node = (fenced: boolean, said: Partial<NodeReport> | undefined): ClusterNode =>
  Schema.decodeUnknownSync(ClusterNode)({
    nodeId: 1,
    name: "n",
    version: "1",
    part: "voter",
    fenced,
    ...(said === undefined ? {} : { report: { ...report, ...said } })
  })

it("each state is a word or two, with the sentence about it on a line of its own", () => {
  const out = "it was taken out of the cluster, whose members are 2, 3 since entry 9:\nstop it"
  const cases: ReadonlyArray<readonly [node: ClusterNode, state: string, remark?: string]> = [
    [node(false, {}), "alive"],
    [node(false, { standing: "alive" }), "alive"],
    [
      node(false, { standing: "starting", fault: "the node is starting or stopping" }),
      "starting",
      "the node is starting or stopping"
    ],
    [node(false, { standing: "joining" }), "joining", "it has no log of the cluster yet"],
    [node(false, { standing: "joining", fault: "is no member" }), "joining", "is no member"],
    [node(false, { standing: "takenOut", fault: out }), "taken out", out.replace("\n", " ")],
    [node(true, { standing: "takenOut", fault: out }), "taken out", out.replace("\n", " ")],
    [node(false, { standing: "noSpace", fault: "waits for space: /data" }), "no space", "waits for space: /data"],
    [node(false, { standing: "fault", fault: "its disk is broken" }), "fault", "its disk is broken"],
    [node(false, { fault: "what an older release says" }), "fault", "what an older release says"],
    [node(true, { standing: "alive" }), "fenced", "the leader has not heard of it for too long"],
    [node(true, undefined), "fenced", "the leader has not heard of it for too long, and it does not answer"],
    [node(false, undefined), "no answer", "it does not answer"]
  ]
  for (const [one, state, remark] of cases) {
    expect(stateOf(one)).toBe(state)
    expect(remarksOn([one])).toEqual(remark === undefined ? [] : [`node 1: ${remark}`])
  }
})

it("whoever replaces a node that is gone is told whether another one did it", () => {
  const wish = { dead: 2, nodeId: 4, address: "b:1" }
  const told = (more: Partial<ClusterNode>) => notReplaced(wish, { nodes: [{ ...node(false, {}), ...more }] })
  expect(told({ nodeId: 4, address: "b:1" })).toBe(
    "there is no node 2, and node 4 is a member that votes already: perhaps another operator did the same"
  )
  expect(told({ nodeId: 4, address: "b:1", part: "learner" })).toContain("effectmq cluster promote 4 gives it a vote")
  const stranger = "there is no node 2, and node 4 at b:1 is no member: see effectmq cluster status"
  for (const more of [{}, { nodeId: 4, address: "c:1" }, { nodeId: 4, address: "b:1", part: "observer" }] as const) {
    expect(told(more)).toBe(stranger)
  }
})

it("no node is added at an address where none can be called, nor with a number that none can have", () => {
  const isTaken = (nodeId: number, address: string) => Schema.is(AddNodeBody)({ nodeId, address, voter: true })
  for (const address of ["a:1", "broker-4.example.com:9645", "127.0.0.1:65535", "[::1]:9645"])
    expect(isTaken(4, address)).toBe(true)
  for (const address of ["a", "a:0", "a:65536", "a:99999", ":1", "a b:1", "::1:9645", "[]:1"])
    expect(isTaken(4, address)).toBe(false)
  expect([0, -1, 2147483648, 2147483647].map((nodeId) => isTaken(nodeId, "a:1"))).toEqual([false, false, false, true])
})

import { emptyImage } from "@effectmq/metadata/core/Image"
import type { NodeState } from "@effectmq/schemas/metadata/Node"
import { expect, it } from "vitest"
import { clusterAlarmRules } from "../src/ClusterAlarms.js"

const nodeOf = (nodeId: number, fencedAtMs?: number): NodeState => ({
  nodeId,
  name: `name-${nodeId}`,
  version: "1",
  roles: ["broker"],
  addresses: [],
  registeredAtMs: 0,
  fencedAtMs
})

/** Metadata as the test sets them, and what each look finds. */
const standing = () => {
  let image = emptyImage
  const now = { stale: false, fault: undefined as string | undefined }
  const rules = clusterAlarmRules({ isStale: () => now.stale, fault: () => now.fault, image: () => image })
  return {
    now,
    set: (node: NodeState) => {
      image = { ...image, nodesById: image.nodesById.set(String(node.nodeId), node) }
    },
    look: () => {
      const found = rules.map((rule) => [rule.name, rule.check(false)] as const)
      return Object.fromEntries(found.filter(([, message]) => message !== undefined))
    }
  }
}

it("no leader is an alarm where it is found twice in a row", () => {
  const { now, look } = standing()
  now.stale = true
  expect(look()).toEqual({})
  expect(look()).toEqual({ "metadata-no-leader": expect.stringContaining("no leader") })
  now.stale = false
  expect(look()).toEqual({})
  now.stale = true
  expect(look()).toEqual({})
})

it("a node that has stopped for good says why, and not that it knows no leader", () => {
  const { now, look } = standing()
  now.stale = true
  now.fault = "takes no part: the log is damaged"
  look()
  expect(look()).toEqual({ "metadata-fault": "this node takes no part: the log is damaged" })
})

it("names the nodes that are silent, ten of them at most", () => {
  const { set, look } = standing()
  set(nodeOf(1))
  expect(look()).toEqual({})
  set(nodeOf(2, 5))
  expect(look()).toEqual({ "nodes-silent": "not heard of: node 2 (name-2)" })
  for (let nodeId = 3; nodeId <= 13; nodeId++) set(nodeOf(nodeId, 5))
  expect(look()["nodes-silent"]).toMatch(/ and 2 more$/)
  set(nodeOf(2))
  expect(look()["nodes-silent"]).not.toContain("name-2)")
})

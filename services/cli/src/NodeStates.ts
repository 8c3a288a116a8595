/**
 * What `effectmq cluster status` says of how nodes are: a word in the table, and below it a line for each that is not well.
 */
import type { ClusterNode, ClusterStatus, NodeStanding } from "@effectmq/schemas/admin/Cluster"

const words: { readonly [Standing in NodeStanding]: string } = {
  alive: "alive",
  starting: "starting",
  joining: "joining",
  takenOut: "taken out",
  noSpace: "no space",
  fault: "fault"
}

/** What it says of itself comes before what the others think of it. */
export const stateOf = ({ fenced, report }: ClusterNode): string => {
  // An older release says no more than that something is wrong.
  const standing = report?.standing ?? (report?.fault === undefined ? "alive" : "fault")
  if (standing !== "alive") return words[standing]
  if (fenced) return "fenced"
  return report === undefined ? "no answer" : words.alive
}

const remarkOf = ({ fenced, report }: ClusterNode): string | undefined => {
  if (report?.fault !== undefined) return report.fault
  if (report?.standing === "joining") return "it has no log of the cluster yet"
  const silent = report === undefined ? ["it does not answer"] : []
  const unheard = fenced ? ["the leader has not heard of it for too long"] : []
  const remarks = [...unheard, ...silent]
  return remarks.length === 0 ? undefined : remarks.join(", and ")
}

export const remarksOn = (nodes: ReadonlyArray<ClusterNode>): ReadonlyArray<string> =>
  nodes.flatMap((node) => {
    const remark = remarkOf(node)
    return remark === undefined ? [] : [`node ${node.nodeId}: ${remark.replace(/\s+/g, " ")}`]
  })

/** Why nobody is replaced where the one that is to go is not there: perhaps since another operator did the same. */
export const notReplaced = (
  { dead, nodeId, address }: { readonly dead: number; readonly nodeId: number; readonly address: string },
  { nodes }: Pick<ClusterStatus, "nodes">
): string => {
  const gone = `there is no node ${dead}`
  const node = nodes.find((one) => one.nodeId === nodeId && one.address === address && one.part !== "observer")
  if (node === undefined) return `${gone}, and node ${nodeId} at ${address} is no member: see effectmq cluster status`
  return node.part === "learner"
    ? `${gone}, and node ${nodeId} is a learner: effectmq cluster promote ${nodeId} gives it a vote, unless another operator does`
    : `${gone}, and node ${nodeId} is a member that votes already: perhaps another operator did the same`
}

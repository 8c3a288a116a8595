/**
 * Values of the cluster's keys that are each right and do not fit together.
 */
import { memberOfText } from "./ClusterNodes.js"
import type { KeyName, Settings } from "./Settings.js"

const isLoopbackName = (host: string): boolean => host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

const nodesProblem = (settings: Settings): string | undefined => {
  const members = settings["cluster.nodes"].map(memberOfText)
  if (members.includes(undefined)) return "texts like 1@broker-1.example.com:9645, each with a node's number and its RPC listener"
  const ids = members.map((member) => member?.nodeId)
  if (new Set(ids).size !== ids.length) return "each number once"
  const guest = settings["cluster.join"] || settings["cluster.observer"]
  if (guest && ids.length === 0) return "at least one node of the cluster to join or follow"
  if (!guest && ids.length > 0 && !ids.includes(settings["node.id"])) {
    return `this node's number (node.id is ${settings["node.id"]}) among the others, or cluster.join or cluster.observer to be true`
  }
  return undefined
}

export const clusterContradictions = (settings: Settings, refuse: (key: KeyName, expected: string) => void): void => {
  const nodes = nodesProblem(settings)
  if (nodes !== undefined) refuse("cluster.nodes", nodes)
  if (settings["cluster.join"] && settings["cluster.observer"]) {
    refuse("cluster.join", "false where cluster.observer is true: an observer is never taken in")
  }
  const tls = ["cluster.tls.certFile", "cluster.tls.keyFile", "cluster.tls.caFile"] as const
  const set = tls.filter((key) => settings[key] !== undefined)
  if (set.length > 0 && set.length < tls.length) {
    refuse(set[0] as KeyName, `${tls.filter((key) => settings[key] === undefined).join(" and ")} to be set as well`)
  }
  if (!isLoopbackName(settings["cluster.rpc.host"]) && settings["cluster.secret"] === undefined) {
    refuse("cluster.rpc.host", "an address of this machine alone (127.0.0.1), or cluster.secret to be set")
  }
  if (settings["cluster.electionTimeoutMs"] < 3 * settings["cluster.heartbeatMs"]) {
    refuse("cluster.electionTimeoutMs", `at least three times cluster.heartbeatMs (${settings["cluster.heartbeatMs"]})`)
  }
}

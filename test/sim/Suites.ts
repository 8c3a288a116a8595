/**
 * The simulations, each a function from a seed to what happened.
 */
import process from "node:process"
import { planOf as planOfCluster } from "./cluster/ClusterPlan.js"
import { simulateCluster } from "./cluster/ClusterSimulation.js"
import { planOf as planOfMetadata } from "./metadata/MetadataPlan.js"
import { simulateMetadata } from "./metadata/MetadataSimulation.js"
import { simulate } from "./Simulation.js"

export interface Ran {
  readonly seed: number
  /** Empty where everything held. */
  readonly faults: ReadonlyArray<string>
  readonly trace: ReadonlyArray<string>
  readonly traceHash: string
  readonly simulatedMs: number
  readonly cpuSeconds: number
  /** By the wall clock, ms since 1970. */
  readonly begunAtMs: number
  readonly endedAtMs: number
  readonly stats: Readonly<Record<string, unknown>>
}

type Outcome = Omit<Ran, "simulatedMs" | "cpuSeconds" | "begunAtMs" | "endedAtMs" | "stats"> & {
  readonly stats: { readonly simulatedMs: number }
}

export const suites = {
  /** A broker that crashes. */
  node: simulate,
  /** A Raft group. */
  cluster: simulateCluster,
  /** The metadata of a cluster, as nodes compose them. */
  metadata: simulateMetadata
} satisfies Record<string, (seed: number) => Promise<Outcome>>

export type SuiteName = keyof typeof suites

/** Whether a seed's cluster has that many nodes from beginning to end, with nobody who only follows. */
export const hasNodes = (suite: SuiteName, seed: number, count: number): boolean => {
  if (suite === "node") return count === 1
  const { nodes, nodesMax, observers } = suite === "cluster" ? { ...planOfCluster(seed), observers: 0 } : planOfMetadata(seed)
  return nodes === count && nodesMax === count && observers === 0
}

export const runSeed = async (suite: SuiteName, seed: number): Promise<Ran> => {
  const begunAtMs = Date.now()
  const before = process.cpuUsage()
  const { faults, trace, traceHash, stats }: Outcome = await suites[suite](seed)
  const { user, system } = process.cpuUsage(before)
  const { simulatedMs, ...others } = stats
  return {
    seed,
    faults,
    trace,
    traceHash,
    simulatedMs,
    cpuSeconds: (user + system) / 1e6,
    begunAtMs,
    endedAtMs: Date.now(),
    stats: others
  }
}

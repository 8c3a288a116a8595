/**
 * The simulations, each a function from a seed to what happened.
 */
import process from "node:process"
import { simulateCluster } from "./cluster/ClusterSimulation.js"
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
  readonly stats: Readonly<Record<string, unknown>>
}

type Outcome = Omit<Ran, "simulatedMs" | "cpuSeconds" | "stats"> & { readonly stats: { readonly simulatedMs: number } }

export const suites = {
  /** A broker that crashes. */
  node: simulate,
  /** A Raft group. */
  cluster: simulateCluster,
  /** The metadata of a cluster, as nodes compose them. */
  metadata: simulateMetadata
} satisfies Record<string, (seed: number) => Promise<Outcome>>

export type SuiteName = keyof typeof suites

export const runSeed = async (suite: SuiteName, seed: number): Promise<Ran> => {
  const before = process.cpuUsage()
  const { faults, trace, traceHash, stats }: Outcome = await suites[suite](seed)
  const { user, system } = process.cpuUsage(before)
  const { simulatedMs, ...others } = stats
  return { seed, faults, trace, traceHash, simulatedMs, cpuSeconds: (user + system) / 1e6, stats: others }
}

/**
 * What one run is like: every seed draws which faults there are and how strong, how the cluster is made and what clients do, so that
 * rare combinations come up often somewhere.
 */
import type { RaftNodeOptions } from "@effectmq/raft/RaftNodeOptions"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { goodLink, type LinkQuality } from "@effectmq/testing/SimulatedNetwork"
import type { CommonAction, FaultPlan } from "../cluster/Nemesis.js"

export type DiskAction = "slowDisk" | "diskFull" | "diskError" | "losePowerInCall" | "flipInCall" | "flipAtRest"

export type Action =
  | CommonAction
  | DiskAction
  | "kill"
  | "losePower"
  | "killSoon"
  | "stop"
  | "pause"
  | "breakLinks"
  | "slowProcess"
  | "addNode"
  | "removeNode"
  | "replaceNode"
  | "transfer"
  | "snapshot"
  | "export"

export interface MetadataPlan extends FaultPlan<Action> {
  readonly nodes: number
  readonly nodesMax: number
  readonly observers: number
  readonly diskLatencyMsMax: number
  /** Size of SQLite's log from which it is carried into the database. */
  readonly checkpointBytes: number
  readonly raft: Partial<RaftNodeOptions>
  readonly silentMsMax: number
  readonly submitMsMax: number
  readonly syncMsMax: number
  readonly clients: number
  readonly names: number
  readonly thinkMsMax: number
  readonly readShare: number
  readonly staleShare: number
  readonly callTimeoutMs: number
}

const linksOf = (random: SeededRandom): LinkQuality => {
  const on = (probability: number, value: number) => (random.chance(probability) ? value : 0)
  const delayMsMin = random.pick([0.1, 1, 5])
  return {
    delayMsMin,
    delayMsMax: delayMsMin + random.pick([0.5, 5, 50]),
    lossChance: on(0.6, random.pick([0.01, 0.05, 0.2])),
    duplicateChance: on(0.3, 0.02),
    straggleChance: on(0.5, random.pick([0.01, 0.1])),
    ordered: random.chance(0.3),
    bytesPerMs: random.chance(0.2) ? random.pick([200, 2_000]) : Number.POSITIVE_INFINITY
  }
}

export const planOf = (seed: number): MetadataPlan => {
  const random = new SeededRandom(seed, 10)
  const on = (probability: number, weight: number) => (random.chance(probability) ? weight * random.pick([0.5, 1, 3]) : 0)
  const nodes = random.weighted([
    [1, 1],
    [12, 3],
    [2, 5]
  ])
  const tickMs = random.pick([50, 100, 100])
  const small = random.chance(0.6)
  return {
    nodes,
    nodesMax: Math.max(nodes, random.pick([3, 5])),
    observers: random.pick([0, 1, 1, 1, 2]),
    faultsMs: random.pick([8_000, 15_000, 25_000]),
    actionGapMsMax: random.pick([500, 1_500, 3_000]),
    actions: [
      [on(0.6, 2), "kill"],
      [on(0.5, 2), "losePower"],
      [on(0.4, 1), "killSoon"],
      [on(0.3, 0.5), "stop"],
      [on(0.4, 1), "pause"],
      [on(0.5, 1), "partition"],
      [on(0.5, 1), "isolateLeader"],
      [on(0.5, 1), "cutOneWay"],
      [on(0.3, 0.5), "cutClients"],
      [3, "heal"],
      [on(0.5, 1), "links"],
      [on(0.3, 1), "slowLink"],
      [on(0.5, 1), "breakLinks"],
      [on(0.4, 1), "jumpClock"],
      [on(0.3, 0.5), "drift"],
      [on(0.2, 0.5), "slowProcess"],
      [on(0.4, 0.5), "slowDisk"],
      [on(0.3, 0.5), "diskFull"],
      [on(0.3, 0.5), "diskError"],
      [on(0.4, 1), "losePowerInCall"],
      [on(0.25, 0.5), "flipInCall"],
      [on(0.25, 0.5), "flipAtRest"],
      [on(0.5, 1), "addNode"],
      [on(0.4, 1), "removeNode"],
      [on(0.3, 0.5), "replaceNode"],
      [on(0.5, 1), "transfer"],
      [on(0.5, 1), "snapshot"],
      [on(0.3, 0.5), "export"]
    ],
    links: random.chance(0.4) ? goodLink : linksOf(random),
    worstLinks: linksOf(random),
    diskLatencyMsMax: random.pick([0, 1, 5]),
    checkpointBytes: random.pick([1 << 14, 1 << 17, 1 << 20]),
    downMsMax: random.pick([50, 1_000, 8_000]),
    pauseMsMax: random.pick([500, 3_000, 9_000]),
    raft: {
      tickMs,
      heartbeatMs: tickMs * 2,
      electionMsMin: tickMs * 8,
      electionMsMax: tickMs * 16,
      ...(small ? { snapshotEntries: random.pick([20, 60, 200]), keptEntries: random.pick([0, 10, 50]) } : {}),
      ...(small && random.chance(0.5) ? { snapshotChunkBytesMax: random.pick([500, 5_000]) } : {})
    },
    silentMsMax: random.pick([2_500, 6_000]),
    submitMsMax: random.pick([1_000, 5_000]),
    syncMsMax: 3_000,
    clients: random.int(1, 3),
    names: random.int(1, 3),
    thinkMsMax: random.pick([100, 300, 1_000]),
    readShare: random.pick([0.2, 0.5]),
    staleShare: random.pick([0.1, 0.3]),
    callTimeoutMs: random.pick([1_000, 8_000])
  }
}

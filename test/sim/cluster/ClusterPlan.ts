/**
 * What one run is like: every seed draws which faults there are and how strong, how the group is made and what clients do, so that rare
 * combinations come up often somewhere.
 */
import { defaultOptions, type RaftNodeOptions } from "@effectmq/raft/RaftNodeOptions"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { goodLink, type LinkQuality } from "@effectmq/testing/SimulatedNetwork"
import type { StoreFaults } from "@effectmq/testing/SimulatedRaftStore"
import type { CommonAction, FaultPlan } from "./Nemesis.js"

export type Action =
  | CommonAction
  | "kill"
  | "killSoon"
  | "killAll"
  | "stop"
  | "pause"
  | "slowProcess"
  | "diskFull"
  | "diskErrors"
  | "slowDisk"
  | "addNode"
  | "removeNode"
  | "transfer"
  | "toAndFro"
  | "strikeChange"
  | "strikeElection"
  | "strikeCommit"
  | "snapshot"

export interface ClusterPlan extends FaultPlan<Action> {
  readonly nodes: number
  readonly nodesMax: number
  readonly store: StoreFaults
  readonly raft: Omit<RaftNodeOptions, "nodeId" | "initialMembers" | "contacts">
  readonly clients: number
  readonly keys: number
  readonly thinkMsMax: number
  readonly readShare: number
  readonly compareShare: number
  readonly paddingMax: number
  readonly callTimeoutMs: number
}

const linksOf = (random: SeededRandom): LinkQuality => {
  const on = (probability: number, value: number) => (random.chance(probability) ? value : 0)
  const delayMsMin = random.pick([0.1, 1, 5])
  return {
    delayMsMin,
    delayMsMax: delayMsMin + random.pick([0.5, 5, 50, 200]),
    lossChance: on(0.6, random.pick([0.01, 0.1, 0.3])),
    duplicateChance: on(0.5, random.pick([0.01, 0.2])),
    straggleChance: on(0.5, random.pick([0.01, 0.1])),
    ordered: random.chance(0.3),
    bytesPerMs: random.chance(0.2) ? random.pick([20, 200]) : Number.POSITIVE_INFINITY
  }
}

export const planOf = (seed: number): ClusterPlan => {
  const random = new SeededRandom(seed, 10)
  const on = (probability: number, weight: number) => (random.chance(probability) ? weight * random.pick([0.5, 1, 3]) : 0)
  const nodes = random.weighted([
    [1, 1],
    [2, 2],
    [7, 3],
    [3, 4],
    [3, 5],
    [1, 7]
  ])
  const tickMs = random.pick([20, 50, 50])
  const small = random.chance(0.6)
  return {
    nodes,
    nodesMax: Math.max(nodes, random.pick([3, 5, 7])),
    faultsMs: random.pick([5_000, 15_000, 40_000]),
    actionGapMsMax: random.pick([200, 1_000, 3_000]),
    actions: [
      [on(0.6, 2), "kill"],
      [on(0.5, 2), "killSoon"],
      [on(0.2, 0.3), "killAll"],
      [on(0.3, 0.5), "stop"],
      [on(0.4, 1), "pause"],
      [on(0.5, 1), "partition"],
      [on(0.5, 1), "isolateLeader"],
      [on(0.5, 1), "cutOneWay"],
      [on(0.3, 0.5), "cutClients"],
      [3, "heal"],
      [on(0.5, 1), "links"],
      [on(0.3, 1), "slowLink"],
      [on(0.4, 1), "jumpClock"],
      [on(0.3, 0.5), "drift"],
      [on(0.2, 0.5), "slowProcess"],
      [on(0.2, 0.5), "diskFull"],
      [on(0.2, 0.3), "diskErrors"],
      [on(0.4, 0.5), "slowDisk"],
      [on(0.5, 1.5), "addNode"],
      [on(0.5, 1.5), "removeNode"],
      [on(0.5, 1), "transfer"],
      [on(0.3, 1), "toAndFro"],
      [on(0.5, 1.5), "strikeChange"],
      [on(0.4, 1), "strikeElection"],
      [on(0.4, 1), "strikeCommit"],
      [on(0.4, 1), "snapshot"]
    ],
    links: random.chance(0.4) ? goodLink : linksOf(random),
    worstLinks: linksOf(random),
    store: { latencyMsMax: random.pick([0, 1, 5, 20]), errorChance: 0, full: false },
    downMsMax: random.pick([50, 1_000, 8_000]),
    pauseMsMax: random.pick([500, 3_000]),
    raft: {
      ...defaultOptions,
      tickMs,
      heartbeatMs: tickMs * 2,
      electionMsMin: tickMs * random.pick([4, 8]),
      electionMsMax: tickMs * random.pick([10, 16]),
      leaseReads: false,
      leaseMarginMs: tickMs,
      snapshotEntries: small ? random.pick([5, 20, 60]) : defaultOptions.snapshotEntries,
      snapshotBytes: small && random.chance(0.3) ? 2_000 : defaultOptions.snapshotBytes,
      snapshotChunkBytesMax: random.pick([64, 1_000, defaultOptions.snapshotChunkBytesMax]),
      keptEntries: random.pick([0, 10, defaultOptions.keptEntries]),
      appendBytesMax: random.pick([200, defaultOptions.appendBytesMax]),
      inflightMessagesMax: random.pick([1, 4, defaultOptions.inflightMessagesMax]),
      promoteLagEntriesMax: random.pick([5, defaultOptions.promoteLagEntriesMax])
    },
    clients: random.int(1, 5),
    keys: random.int(1, 4),
    thinkMsMax: random.pick([20, 100, 500]),
    readShare: random.pick([0.2, 0.5]),
    compareShare: random.pick([0, 0.2]),
    paddingMax: random.pick([0, 0, 100]),
    callTimeoutMs: random.pick([500, 2_000])
  }
}

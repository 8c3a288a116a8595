/**
 * What one run is like: every seed draws its own cast, its own limits and its own mix of what happens, so that rare
 * combinations come up often somewhere.
 */
import { neverExpires } from "./ModelClient.js"
import type { ClientProfile, WillProfile } from "./ModelClient.js"
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import type { QoS } from "./Ledger.js"
import type { SimNodeOptions } from "./SimNode.js"

export type Action =
  | "publish"
  | "subscribe"
  | "unsubscribe"
  | "connect"
  | "cleanStart"
  | "takeOver"
  | "reset"
  | "disconnect"
  | "lazy"
  | "acknowledge"
  | "pause"
  | "wait"
  | "kill"
  | "powerLoss"
  | "crashAtCall"
  | "restart"
  | "diskFull"
  | "ioError"

export interface GroupPlan {
  readonly name: string
  readonly filter: string
  readonly members: ReadonlySet<string>
}

export interface Plan {
  readonly clients: ReadonlyArray<ClientProfile>
  readonly topics: ReadonlyArray<string>
  readonly filters: ReadonlyArray<string>
  readonly groups: ReadonlyArray<GroupPlan>
  readonly sharedTopics: ReadonlyArray<string>
  readonly steps: number
  readonly actions: ReadonlyArray<readonly [weight: number, value: Action]>
  readonly qos: ReadonlyArray<readonly [weight: number, value: QoS]>
  readonly retainChance: number
  readonly delayedChance: number
  readonly sharedChance: number
  readonly paddingMax: number
  readonly latencyMaxMs: number
  readonly node: Omit<SimNodeOptions, "wraps" | "log">
}

const names = <A>(count: number, name: (index: number) => A): Array<A> => Array.from({ length: count }, (_, index) => name(index))

/** Topics of which one client alone publishes what is retained, always at the same QoS. */
export const retainedTopic = (clientId: string, qos: QoS): string => `r/${clientId}/q${qos}`

export const makePlan = (random: SeededRandom): Plan => {
  const maybe = <A>(probability: number, value: A, otherwise: A): A => (random.chance(probability) ? value : otherwise)
  const count = random.int(2, 5)
  const shardCount = random.int(1, 3)
  const willTopic = "w/all"
  const clients = names(count, (index): ClientProfile => {
    const version = maybe<4 | 5>(0.3, 4, 5)
    const expirySeconds = random.weighted([
      [5, neverExpires],
      [version === 5 ? 1 : 0, random.int(1, 5)],
      [index === 0 ? 0 : 1, 0]
    ])
    const will: WillProfile | undefined = random.chance(0.35)
      ? { topic: willTopic, qos: random.pick([0, 1, 2]), delaySeconds: maybe(0.5, 0, random.int(1, 3)) }
      : undefined
    return {
      clientId: `c${index}`,
      version,
      expirySeconds,
      receiveMaximum: maybe(0.5, 65_535, random.int(1, 8)),
      chunkBytes: maybe(0.7, 100_000, random.int(1, 40)),
      windowBytes: maybe(0.8, 65_536, random.int(64, 1024)),
      will,
      resubscribes: random.chance(0.6)
    }
  })
  const topics = random.pick([["a/x"], ["a/x", "a/y", "b/x"], ["a/x", "a/y", "a/x/z", "b/x", "b/y", "c"]])
  const clientIds = clients.map(({ clientId }) => clientId)
  const groups = names(random.int(0, 2), (index): GroupPlan => {
    const members = clientIds.filter((_, member) => member % 2 === index)
    return { name: `g${index}`, filter: maybe(0.5, "s/+", "s/0"), members: new Set(members) }
  })
  const on = (probability: number, weight: number) => (random.chance(probability) ? weight : 0)
  return {
    clients,
    topics,
    filters: ["a/x", "a/+", "+/x", "a/#", "b/+", "c", "r/#", "r/+/q2", willTopic],
    groups,
    sharedTopics: names(2, (index) => `s/${index}`),
    steps: random.int(40, 220),
    actions: [
      [random.pick([6, 12, 24]), "publish"],
      [random.pick([1, 3]), "subscribe"],
      [on(0.5, 0.7), "unsubscribe"],
      [random.pick([2, 5]), "connect"],
      [on(0.3, 0.3), "cleanStart"],
      [on(0.5, 0.5), "takeOver"],
      [on(0.8, random.pick([0.5, 2])), "reset"],
      [on(0.5, 0.5), "disconnect"],
      [on(0.5, 0.5), "lazy"],
      [1, "acknowledge"],
      [on(0.3, 0.5), "pause"],
      [on(0.7, random.pick([0.3, 1.5])), "wait"],
      [on(0.5, random.pick([0.3, 1.2])), "kill"],
      [on(0.6, random.pick([0.3, 1.2])), "powerLoss"],
      [on(0.5, random.pick([0.3, 1.2])), "crashAtCall"],
      [on(0.3, 0.3), "restart"],
      [on(0.15, 0.3), "diskFull"],
      [on(0.15, 0.3), "ioError"]
    ],
    qos: random.pick([
      [
        [1, 0],
        [2, 1],
        [2, 2]
      ],
      [
        [0, 0],
        [0, 1],
        [1, 2]
      ],
      [
        [0, 0],
        [1, 1],
        [1, 2]
      ]
    ] as const),
    retainChance: random.pick([0, 0.1, 0.4]),
    delayedChance: random.pick([0, 0, 0.1]),
    sharedChance: groups.length === 0 ? 0 : random.pick([0.2, 0.6]),
    paddingMax: random.pick([0, 20, 400]),
    latencyMaxMs: random.pick([0, 2, 10, 40]),
    node: {
      file: {
        walFileBytes: random.pick([32, 64]) * 1024,
        walFilesMax: random.pick([2, 4]),
        groupBytesMax: random.pick([4, 16]) * 1024,
        segmentBytes: random.pick([1, 8, 64]) * 1024,
        compactSegmentBytes: random.pick([1, 8, 64]) * 1024,
        tombstoneRetentionMs: random.pick([500, 300_000]),
        cleanIntervalMs: random.pick([700, 3000])
      },
      messaging: {
        logShards: shardCount,
        feedQueueMax: random.pick([1, 3, 1000]),
        maintainIntervalMs: random.pick([150, 2000]),
        sharedStrategy: random.pick(["round-robin", "random", "sticky", "hash-client", "hash-topic"] as const)
      },
      sessionShards: shardCount,
      mqtt: {
        receiveMaximum: random.pick([3, 1024]),
        inflightMax: random.pick([1, 4, 1024]),
        progressIntervalMs: random.pick([50, 1000])
      },
      highWaterMarkBytes: random.pick([512, 1024 * 1024])
    }
  }
}

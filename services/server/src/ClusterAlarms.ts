/**
 * The alarms of a node's part in the cluster. An election takes about a second, so that no leader is a matter for an operator
 * only where the next look finds none either.
 */
import { type AlarmRule, Alarms } from "@effectmq/metrics/Alarms"
import { Metadata, type MetadataService } from "@effectmq/metadata/Metadata"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export type MetadataStanding = Pick<MetadataService, "fault" | "isStale" | "image">

/** Named in the message; the rest is counted. */
const nodesNamedMax = 10

export const clusterAlarmRules = (metadata: MetadataStanding): ReadonlyArray<AlarmRule> => {
  let wasStale = false
  return [
    {
      name: "metadata-fault",
      check: () => {
        const fault = metadata.fault()
        return fault === undefined ? undefined : `this node ${fault}`
      }
    },
    {
      name: "metadata-no-leader",
      check: () => {
        const isStale = metadata.fault() === undefined && metadata.isStale()
        const isHolding = isStale && wasStale
        wasStale = isStale
        return isHolding ? "this node knows of no leader: changes fail, and what it knows may be old" : undefined
      }
    },
    {
      name: "nodes-silent",
      check: () => {
        const silent = [...metadata.image().nodesById.values()].filter(({ fencedAtMs }) => fencedAtMs !== undefined)
        if (silent.length === 0) return undefined
        const names = silent.slice(0, nodesNamedMax).map(({ nodeId, name }) => `${nodeId} (${name})`)
        const more = silent.length > names.length ? ` and ${silent.length - names.length} more` : ""
        return `not heard of: node ${names.join(", ")}${more}`
      }
    }
  ]
}

export const layer: Layer.Layer<never, never, Alarms | Metadata> = Layer.effectDiscard(
  Effect.gen(function* () {
    const alarms = yield* Alarms
    yield* Effect.forEach(clusterAlarmRules(yield* Metadata), (rule) => alarms.watch(rule), { discard: true })
  })
)

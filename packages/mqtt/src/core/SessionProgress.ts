/**
 * The way of messages to a client, as it is stored.
 */
import { retainedSource } from "./Delivery.js"
import type { Outbound } from "./Outbound.js"
import type { Replay } from "./Replay.js"
import type { StoredDelivery, StoredReplay } from "./SessionRecords.js"

/** By source of the log; none where the session has no subscription of its own. */
export const positionsOf = ({ feed }: Outbound, sourceCount: number): Array<number> =>
  feed === undefined ? [] : Array.from({ length: sourceCount }, (_, source) => feed.safePosition(source))

/** In the order in which identifiers were given. */
export const inflightOf = (outbound: Outbound): Array<StoredDelivery> =>
  outbound.inOrder().map(({ message, packetId, qos, retain, source, offset, subscriptionIds, group, state, handOut }) => ({
    packetId,
    qos: qos as 1 | 2,
    retain,
    released: state === "releasing" || state === "released",
    source,
    offset,
    topic: source === retainedSource ? (message?.topic ?? "") : "",
    subscriptionIds,
    groupFilter: group === undefined ? undefined : `$share/${group.name}/${group.filter}`,
    handOut
  }))

export const replaysOf = (replaysByText: ReadonlyMap<string, Replay>): Array<StoredReplay> => {
  const replays: Array<StoredReplay> = []
  for (const [filter, { range }] of replaysByText) {
    if (range !== undefined) replays.push({ filter, position: range.position, until: range.until })
  }
  return replays
}

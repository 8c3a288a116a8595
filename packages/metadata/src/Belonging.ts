/**
 * What this node tells others it belongs to when it meets them: the id of its cluster where it has one, else a mark of the first
 * members, from its log or, where that is empty, from what it is started with.
 *
 * A transport is there before the node's metadata are, so it asks this each time. Until the metadata come, and until they have applied
 * it, the id is the one that the store holds: in its snapshot, or in its log as far as that is committed.
 */
import { createHash } from "node:crypto"
import { RaftStore, type StoredRaft } from "@effectmq/raft/RaftStore"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isEmpty } from "./internal/Introduction.js"
import { storedClusterId } from "./internal/storedClusterId.js"
import { Metadata } from "./Metadata.js"

export class Belonging {
  private clusterIdNow: () => string | undefined = () => undefined
  private clusterIdKept: string | undefined
  private firstMembers: string | undefined

  /** As `SocketNodeTransport` asks for it. */
  readonly now = () => ({ clusterId: this.clusterIdNow() ?? this.clusterIdKept, firstMembers: this.firstMembers })

  /** Before the transport hears anybody. */
  readonly layerFirst = (initialMembers: ReadonlyArray<Member>): Layer.Layer<never, never, RaftStore> =>
    Layer.effectDiscard(
      Effect.gen(this, function* () {
        const store = yield* RaftStore
        const { stored } = store
        const members = isEmpty(stored) ? initialMembers : firstOf(stored)
        this.firstMembers = members.length === 0 ? undefined : markOf(members)
        this.clusterIdKept = yield* storedClusterId(store)
      })
    )

  readonly layerCluster: Layer.Layer<never, never, Metadata> = Layer.effectDiscard(
    Effect.map(Metadata, (metadata) => {
      this.clusterIdNow = () => metadata.image().cluster?.clusterId
    })
  )
}

/** Those of the entry with which the log began; none where it is not kept any more. */
const firstOf = ({ entries }: StoredRaft): ReadonlyArray<Member> => {
  const first = entries[0]
  return first?.kind === "membership" && first.index === 1 ? first.membership.members : []
}

/** The same for the same members in any order. */
const markOf = (members: ReadonlyArray<Member>): string => {
  const texts = members.map(({ nodeId, address }) => `${nodeId}@${address}`).sort()
  return createHash("sha256").update(texts.join(",")).digest("hex").slice(0, 16)
}

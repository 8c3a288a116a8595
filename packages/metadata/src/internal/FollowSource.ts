/**
 * What a follower is sent: the entries behind where it stands, a snapshot where they are gone, and now and then where this node
 * stands itself. One item at a time, so that a slow follower costs no memory but the image it is being sent.
 */
import { type Followed, FollowRefused } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { hashOfHex, hashToHex, sameHash } from "../core/EntryChain.js"
import type { Replica } from "../core/Replica.js"
import { writeSnapshot } from "../core/SnapshotFormat.js"
import type { ImageView } from "./ImageView.js"
import { breathe } from "./snapshots.js"

export interface FollowSourceParts {
  readonly replica: Replica
  readonly view: ImageView
  /** What a `Position` says besides the place. */
  readonly standing: () => Omit<Extract<Followed, { readonly _tag: "Position" }>, "_tag" | "index" | "hash">
}

export interface FollowFrom {
  readonly index: number
  readonly hash: string
  readonly bytesMax: number
}

const positionMs = 1_000
const bytesMin = 1024
const bytesMost = 1024 * 1024

const refused = (reason: FollowRefused["reason"], message: string) => Effect.fail(new FollowRefused({ reason, message }))

export const follow = (parts: FollowSourceParts, from: FollowFrom): Stream.Stream<Followed, FollowRefused> => {
  const { replica, view, standing } = parts
  const bytesMax = Math.max(bytesMin, Math.min(bytesMost, from.bytesMax))

  const checked = Effect.suspend(() => {
    const { point, recent } = replica
    if (from.index > point.index) {
      return refused("behind", `this node has applied up to entry ${point.index}, and was asked for what follows ${from.index}`)
    }
    if (from.index < recent.floor.index) return Effect.void
    const own = recent.hashAt(from.index)
    const its = hashOfHex(from.hash)
    return own !== undefined && its !== undefined && sameHash(own, its)
      ? Effect.void
      : refused("diverged", `what was applied up to entry ${from.index} is not the same on both nodes`)
  })

  const items = Effect.sync(() => {
    let index = from.index
    let snapshot: Generator<Uint8Array | undefined> | undefined
    let pending: Uint8Array | undefined
    let isFirst = true

    /** A chunk is sent when the next one is known, or that there is none. */
    const chunk = (writing: Generator<Uint8Array | undefined>): Effect.Effect<Followed> =>
      Effect.suspend(() => {
        const { value, done } = writing.next()
        if (done !== true && value === undefined) return Effect.zipRight(breathe, chunk(writing))
        const data = pending
        pending = done === true ? undefined : (value as Uint8Array)
        if (data === undefined) return chunk(writing)
        if (done === true) snapshot = undefined
        return Effect.succeed<Followed>({ _tag: "SnapshotChunk", data, last: done === true })
      })

    const position = (): Followed => ({
      _tag: "Position",
      index: replica.point.index,
      hash: hashToHex(replica.point.hash),
      ...standing()
    })

    const next: Effect.Effect<Followed, FollowRefused> = Effect.suspend((): Effect.Effect<Followed, FollowRefused> => {
      if (snapshot !== undefined) return chunk(snapshot)
      const entries = replica.recent.behind(index, bytesMax)
      if (entries === undefined) {
        const content = replica.content
        index = content.point.index
        snapshot = writeSnapshot(content, bytesMax)
        return chunk(snapshot)
      }
      if (entries.length > 0) {
        index = entries[entries.length - 1]?.index as number
        return Effect.succeed<Followed>({
          _tag: "Entries",
          entries: entries.map((entry) => ({ index: entry.index, data: entry.data }))
        })
      }
      if (isFirst) {
        isFirst = false
        return Effect.sync(position)
      }
      const more = Effect.timeoutOption(view.whenShown(replica.image.version + 1), positionMs)
      return Effect.matchEffect(more, {
        onFailure: (stopped) => refused("fenced", stopped.message),
        onSuccess: (shown) => (shown._tag === "Some" ? next : Effect.sync(position))
      })
    })
    return Stream.repeatEffect(next)
  })

  return Stream.unwrap(Effect.zipRight(checked, items))
}

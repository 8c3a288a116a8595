/**
 * Keeps a replica without a Raft member up to date: follows one member's log from where the replica stands, another one's when that
 * breaks, and begins anew from a snapshot where it is too far behind.
 *
 * Invariants
 * - Only what is committed is sent by members, so that whoever is followed, the replica is a prefix of the same log.
 * - An entry that cannot be applied, or a chain that is another than the one followed, stops the replica for good, loudly.
 */
import type { Member } from "@effectmq/schemas/raft/Membership"
import { type Followed, FollowRefused } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { type ClusterPeersService, PeerUnavailable } from "../ClusterPeers.js"
import { hashToHex } from "../core/EntryChain.js"
import type { Replica } from "../core/Replica.js"
import { SnapshotReader } from "../core/SnapshotFormat.js"
import type { ImageView } from "./ImageView.js"
import type { Leaders } from "./Leaders.js"
import { breathe } from "./snapshots.js"

export interface FollowingParts {
  readonly nodeId: number
  readonly replica: Replica
  readonly view: ImageView
  readonly leaders: Leaders
  readonly peers: ClusterPeersService
  /** Whom to follow; asked anew with every try. */
  readonly sources: () => ReadonlyArray<Member>
  /** Takes part no more: called once. */
  readonly fail: (problem: string) => void
  readonly complain: (message: string, ...details: ReadonlyArray<unknown>) => void
}

/** A source says where it stands every second. */
const silentMsMax = 4_000
const staleToldMax = 3
const pauseMsMin = 50
const pauseMsMax = 300
const itemBytesMax = 256 * 1024

/** It was stopped from elsewhere while it followed. */
const over = new FollowRefused({ reason: "fenced", message: "this node follows no more" })

export class Following {
  /** Of the last source that said so; undefined while none is followed. */
  private standing: Extract<Followed, { readonly _tag: "Position" }> | undefined
  private failed = false
  private staleTold = 0
  private next: number

  constructor(private readonly parts: FollowingParts) {
    // Not everybody begins with the same one.
    this.next = parts.nodeId
  }

  get isStale(): boolean {
    return this.failed || (this.standing?.stale ?? true)
  }

  /** What the one that is followed says of the cluster. */
  get leader(): { readonly leaderId: number; readonly term: number; readonly index: number } {
    return this.standing ?? { leaderId: 0, term: 0, index: 0 }
  }

  /** How far it has applied the log: what stands behind the last command of the one that is followed is nothing to apply. */
  get appliedIndex(): number {
    const { index } = this.parts.replica.point
    const { index: theirs, appliedIndex = theirs } = this.standing ?? { index }
    return index < theirs ? index : Math.max(index, appliedIndex)
  }

  stop(problem: string): void {
    if (this.failed) return
    this.failed = true
    this.standing = undefined
    this.parts.fail(problem)
  }

  /** Until it is interrupted or stops for good. */
  readonly run: Effect.Effect<void> = Effect.suspend(() => {
    if (this.failed) return Effect.void
    const sources = this.parts.sources()
    const source = sources[this.next++ % Math.max(1, sources.length)]
    const followed = source === undefined ? Effect.void : this.follow(source)
    const pause = Effect.suspend(() => Effect.sleep(pauseMsMin + Math.random() * (pauseMsMax - pauseMsMin)))
    return Effect.zipRight(Effect.zipRight(followed, pause), this.run)
  })

  private follow(source: Member): Effect.Effect<void> {
    const { nodeId, peers, replica } = this.parts
    const { index, hash } = replica.point
    let reader: SnapshotReader | undefined
    const items = peers.at(source).follow({ nodeId, index, hash: hashToHex(hash), bytesMax: itemBytesMax })
    const take = (item: Followed): Effect.Effect<void, FollowRefused> => {
      if (this.failed) return Effect.fail(over)
      if (item._tag !== "SnapshotChunk")
        return Effect.zipRight(
          Effect.suspend(() => this.take(item, source)),
          breathe
        )
      reader ??= new SnapshotReader()
      const reading = reader
      if (item.last) reader = undefined
      return this.takeChunk(reading, item, source)
    }
    const silent = new PeerUnavailable({ reason: "broken", message: `node ${source.nodeId} says nothing any more` })
    return items.pipe(
      Stream.timeoutFail(() => silent, silentMsMax),
      Stream.runForEach(take),
      Effect.matchEffect({
        onSuccess: () => Effect.void,
        onFailure: (error) =>
          error._tag === "FollowRefused" && error.reason === "diverged"
            ? Effect.sync(() => this.stop(`it is not what node ${source.nodeId} has: ${error.message}`))
            : Effect.logDebug(`node ${source.nodeId} is followed no more: ${error.message}`)
      }),
      Effect.ensuring(
        Effect.sync(() => {
          this.standing = undefined
        })
      )
    )
  }

  private takeChunk(
    reader: SnapshotReader,
    { data, last }: Extract<Followed, { readonly _tag: "SnapshotChunk" }>,
    source: Member
  ): Effect.Effect<void, FollowRefused> {
    const { replica } = this.parts
    return Effect.gen(this, function* () {
      for (const _ of reader.read(data)) yield* breathe
      if (!last && reader.problem === undefined) return
      if (this.failed) return yield* Effect.fail(over)
      const content = reader.end()
      if (Either.isLeft(content)) {
        this.stop(`the snapshot of node ${source.nodeId} cannot be used: ${content.left}`)
        return yield* Effect.fail(new FollowRefused({ reason: "fenced", message: content.left }))
      }
      const before = replica.image
      replica.replace(content.right)
      this.show({ before, after: content.right.image, events: undefined })
    })
  }

  private take(item: Exclude<Followed, { readonly _tag: "SnapshotChunk" }>, source: Member): Effect.Effect<void, FollowRefused> {
    const { replica, leaders } = this.parts
    const stopWith = (problem: string) => {
      this.stop(problem)
      return Effect.fail(new FollowRefused({ reason: "fenced", message: problem }))
    }
    if (item._tag === "Position") {
      const own = replica.recent.hashAt(item.index)
      if (own !== undefined && hashToHex(own) !== item.hash) {
        return stopWith(`what it applied up to entry ${item.index} is not what node ${source.nodeId} applied`)
      }
      this.standing = item
      // One that is cut off itself is left for another.
      this.staleTold = item.stale ? this.staleTold + 1 : 0
      if (this.staleTold >= staleToldMax && this.parts.sources().length > 1) {
        this.staleTold = 0
        return Effect.fail(new FollowRefused({ reason: "behind", message: "it hears of no leader" }))
      }
      if (item.leaderId !== 0) leaders.heard(item)
      return Effect.void
    }
    const before = replica.image
    const events = []
    for (const { index, data } of item.entries) {
      const step = replica.apply(index, data)
      if (Either.isLeft(step)) {
        this.show({ before, after: replica.image, events: undefined })
        return stopWith(`entry ${index} of the metadata log cannot be applied here: ${step.left}`)
      }
      events.push(...step.right.events)
    }
    this.show({ before, after: replica.image, events })
    return Effect.void
  }

  private show(change: Parameters<ImageView["show"]>[0]): void {
    const { view, complain } = this.parts
    const problems = view.show(change)
    if (problems.length > 0) complain("a listener of metadata threw, which none may", ...problems)
    view.wake()
  }
}

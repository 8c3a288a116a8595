/**
 * A new cluster from a file that `effectmq cluster snapshot` made (core/SnapshotFormat). Every first member of it is given the same
 * file and the same list of members, so that they begin alike.
 *
 * What the file says of the old cluster's nodes is left out: the new ones register anew. The cluster keeps its id.
 */
import { votersMax } from "@effectmq/raft/core/MembershipChange"
import { RaftStore, type RaftStoreError } from "@effectmq/raft/RaftStore"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Image } from "./core/Image.js"
import { Table } from "./core/Table.js"
import { isSeedable, seed } from "./internal/seed.js"
import { readContent } from "./internal/snapshots.js"

/**
 * `damaged`: the file is no whole snapshot, or of a newer release. `not-empty`: there is something in the store already. `members`: more of
 * them than may vote.
 */
export class RestoreRefused extends Data.TaggedError("RestoreRefused")<{
  readonly reason: "damaged" | "not-empty" | "members"
  readonly message: string
}> {}

export interface Restored {
  readonly clusterId: string
  /** Version of the image. */
  readonly version: number
  readonly topics: number
  readonly users: number
}

const restoredOf = (image: Image): Restored => ({
  clusterId: image.cluster?.clusterId ?? "",
  version: image.version,
  topics: image.topicsByName.size,
  users: image.usersByName.size
})

/** Reads the file whole, and says what is in it. */
export const inspect = (chunks: ReadonlyArray<Uint8Array>): Effect.Effect<Restored, RestoreRefused> =>
  Effect.map(read(chunks), ({ image }) => restoredOf(image))

const read = (chunks: ReadonlyArray<Uint8Array>) =>
  Effect.flatMap(readContent(chunks), (content) =>
    Either.isRight(content)
      ? Effect.succeed(content.right)
      : Effect.fail(new RestoreRefused({ reason: "damaged", message: `the snapshot cannot be used: ${content.left}` }))
  )

export const restore = (
  chunks: ReadonlyArray<Uint8Array>,
  members: ReadonlyArray<Member>
): Effect.Effect<Restored, RestoreRefused | RaftStoreError, RaftStore> =>
  Effect.gen(function* () {
    const store = yield* RaftStore
    if (members.length > votersMax) {
      const message = `a new cluster begins with at most ${votersMax} nodes that vote, not ${members.length}: add others as learners or observers`
      return yield* Effect.fail(new RestoreRefused({ reason: "members", message }))
    }
    if (!isSeedable(store.stored)) {
      const message = "there is metadata in this data directory already: give an empty one"
      return yield* Effect.fail(new RestoreRefused({ reason: "not-empty", message }))
    }
    const { image, point } = yield* read(chunks)
    yield* seed(store, { ...image, nodesById: Table.empty() }, point.hash, members)
    return restoredOf(image)
  })

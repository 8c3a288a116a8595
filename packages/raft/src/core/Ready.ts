/**
 * What comes out of a Raft machine, to be done in this order:
 *
 * 1. `messages` are sent. They depend on nothing that is not durable; a leader's entries go out beside its own write.
 * 2. `write` is made durable.
 * 3. `committed` is applied. `chunks` are staged, and `install`, if any, is completed (`discard`) and takes the place of the state;
 *    where that cannot be stored, `snapshotFailed` is called and no `SnapshotReply` is sent.
 * 4. `messagesAfterWrite` are sent, `chunkReads` are read and sent, `reads` are answered when their index is applied.
 * 5. `advance` tells the machine.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import type { RaftWrite } from "../RaftStore.js"

export interface ReceivedChunk {
  readonly snapshot: SnapshotMeta
  readonly chunk: number
  readonly data: Uint8Array
}

/** A chunk of this member's newest snapshot is to be read and sent: none takes its place between `ready` and `advance`. */
export interface ChunkRead {
  readonly to: number
  readonly term: number
  readonly snapshot: SnapshotMeta
  readonly chunk: number
}

/** `index` -1: it cannot be said, ask again. */
export interface ReadAnswer {
  readonly requestId: number
  readonly index: number
}

export interface Ready {
  readonly messages: ReadonlyArray<RaftMessage>
  readonly write: RaftWrite | undefined
  readonly chunks: ReadonlyArray<ReceivedChunk>
  readonly committed: ReadonlyArray<Entry>
  readonly install: SnapshotMeta | undefined
  readonly messagesAfterWrite: ReadonlyArray<RaftMessage>
  readonly chunkReads: ReadonlyArray<ChunkRead>
  readonly reads: ReadonlyArray<ReadAnswer>
}

/** Why a wish was not taken; nothing happened. */
export interface Refusal {
  readonly reason: "not-leader" | "overloaded" | "busy" | "invalid"
  readonly message: string
  /** Whom to ask instead; 0 where that is not known. */
  readonly leaderId: number
}

/**
 * The port that carries messages between members of a Raft group, as a datagram service does: a message may be lost, doubled,
 * late or out of order, and never altered. Adapters: `RpcRaftTransport.layer`, `MemoryRaftTransport` (tests), the simulator's.
 */
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import * as Context from "effect/Context"

export interface RaftTransportService {
  /** Never waits and never fails. What waits per member is bounded in messages and bytes; beyond that the message is dropped. */
  send(message: RaftMessage): void
  /** Where the members are from now on; connections to others are closed. Whoever else sends something can still be answered. */
  setMembers(members: ReadonlyArray<Member>): void
  /** Called for every message that arrives, in a turn of its own; one listener at a time. Returns how to stop that. */
  onMessage(listener: (message: RaftMessage) => void): () => void
}

export class RaftTransport extends Context.Tag("@effectmq/raft/RaftTransport")<RaftTransport, RaftTransportService>() {}

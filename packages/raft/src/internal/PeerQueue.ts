/**
 * What waits to be sent to one member: bounded in messages and bytes, the oldest give way.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"

export interface PeerQueueLimits {
  readonly messagesMax: number
  readonly bytesMax: number
  readonly batchMessagesMax: number
  readonly batchBytesMax: number
}

const overheadBytes = 100

/** About what it takes in memory and on the wire. */
export const messageBytes = (message: RaftMessage): number => {
  if (message._tag === "SnapshotRequest") return overheadBytes + message.data.length
  if (message._tag !== "AppendRequest") return overheadBytes
  let bytes = overheadBytes
  for (const entry of message.entries) bytes += overheadBytes + (entry.kind === "command" ? entry.data.length : 0)
  return bytes
}

export class PeerQueue {
  private messages: Array<RaftMessage> = []
  private sizes: Array<number> = []
  private bytes = 0

  constructor(
    private readonly limits: PeerQueueLimits,
    private readonly onDropped: (count: number) => void
  ) {}

  offer(message: RaftMessage, bytes: number): void {
    this.messages.push(message)
    this.sizes.push(bytes)
    this.bytes += bytes
    let drop = 0
    while (
      this.messages.length - drop > this.limits.messagesMax ||
      (this.bytes > this.limits.bytesMax && this.messages.length - drop > 1)
    ) {
      this.bytes -= this.sizes[drop] as number
      drop++
    }
    if (drop > 0) {
      this.messages.splice(0, drop)
      this.sizes.splice(0, drop)
      this.onDropped(drop)
    }
  }

  get isEmpty(): boolean {
    return this.messages.length === 0
  }

  /** The oldest, as many as go together. */
  takeBatch(): ReadonlyArray<RaftMessage> {
    let count = 0
    let bytes = 0
    while (count < this.messages.length && count < this.limits.batchMessagesMax) {
      const size = this.sizes[count] as number
      if (count > 0 && bytes + size > this.limits.batchBytesMax) break
      bytes += size
      count++
    }
    this.bytes -= bytes
    this.sizes.splice(0, count)
    return this.messages.splice(0, count)
  }
}

/**
 * Messages that came and were not looked at yet.
 *
 * Invariant: it holds `messagesMax` at the most, and nothing any more once it is closed.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"

export class Inbox {
  private messages: Array<RaftMessage> = []
  private closed = false

  constructor(private readonly messagesMax: number) {}

  get size(): number {
    return this.messages.length
  }

  offer(message: RaftMessage): "taken" | "full" | "closed" {
    if (this.closed) return "closed"
    if (this.messages.length >= this.messagesMax) return "full"
    this.messages.push(message)
    return "taken"
  }

  takeAll(): ReadonlyArray<RaftMessage> {
    const taken = this.messages
    if (taken.length > 0) this.messages = []
    return taken
  }

  close(): void {
    this.closed = true
    this.messages = []
  }
}

/**
 * A hub in memory that carries messages between the members of one process, for tests: each in a turn of its own, in order, save
 * what `drops` says is lost.
 */
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import * as Layer from "effect/Layer"
import { RaftTransport, type RaftTransportService } from "./RaftTransport.js"

export class MemoryRaftHub {
  /** What is lost on its way; asked for each message when it is sent. */
  drops: (message: RaftMessage) => boolean = () => false
  private readonly listenersByNode = new Map<number, (message: RaftMessage) => void>()

  transport(nodeId: number): RaftTransportService {
    return {
      send: (message) => {
        if (this.drops(message)) return
        setImmediate(() => this.listenersByNode.get(message.to)?.(message))
      },
      setMembers: () => undefined,
      onMessage: (listener) => {
        this.listenersByNode.set(nodeId, listener)
        return () => {
          if (this.listenersByNode.get(nodeId) === listener) this.listenersByNode.delete(nodeId)
        }
      }
    }
  }

  layer(nodeId: number): Layer.Layer<RaftTransport> {
    return Layer.sync(RaftTransport, () => this.transport(nodeId))
  }
}

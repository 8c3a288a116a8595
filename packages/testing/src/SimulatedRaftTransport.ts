/**
 * The twin of the transport between Raft members over a `SimulatedNetwork`: every message travels as its frozen bytes.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { RaftTransport, type RaftTransportService } from "@effectmq/raft/RaftTransport"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { readRaftMessages, writeRaftMessages } from "@effectmq/schemas/raft/RaftMessageBytes"
import * as Layer from "effect/Layer"
import type { SimulatedNetwork } from "./SimulatedNetwork.js"
import type { VirtualProcess } from "./VirtualProcess.js"

const writer = new ByteWriter()

const encode = (message: RaftMessage): Buffer => {
  writer.reset()
  writeRaftMessages(writer, message.from, message.to, [message])
  return writer.copy()
}

interface Member {
  readonly process: VirtualProcess
  readonly incarnation: number
  readonly listener: (message: RaftMessage) => void
}

/** The members of one or more Raft groups: each node id is one member. */
export class SimulatedRaftTransport {
  private readonly membersByNode = new Map<number, Member>()
  private readonly processesByNode = new Map<number, VirtualProcess>()

  constructor(
    private readonly network: SimulatedNetwork,
    /** Sees every message as it is sent, whatever becomes of it. */
    private readonly watch: (message: RaftMessage) => void = () => undefined
  ) {}

  /** For one start of a process. */
  service(process: VirtualProcess, nodeId: number): RaftTransportService {
    const { incarnation } = process
    const lives = () => process.alive && process.incarnation === incarnation
    this.processesByNode.set(nodeId, process)
    return {
      send: (message) => {
        if (!lives()) return
        this.watch(message)
        const to = this.processesByNode.get(message.to)
        if (to === undefined) return
        const bytes = encode(message)
        this.network.send(process, to, bytes.length, () => {
          const member = this.membersByNode.get(message.to)
          if (member?.incarnation !== to.incarnation) return
          for (const each of readRaftMessages(new ByteReader(bytes))) member.listener(each)
        })
      },
      setMembers: () => undefined,
      onMessage: (listener) => {
        this.membersByNode.set(nodeId, { process, incarnation, listener })
        return () => {
          if (this.membersByNode.get(nodeId)?.listener === listener) this.membersByNode.delete(nodeId)
        }
      }
    }
  }

  layer(process: VirtualProcess, nodeId: number): Layer.Layer<RaftTransport> {
    return Layer.sync(RaftTransport, () => this.service(process, nodeId))
  }
}

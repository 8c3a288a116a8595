/**
 * Raft machines with a disk each and a network between them, all of it in the hand of a test: it says which message arrives when,
 * which disk is slow, who crashes.
 *
 * What a member applied is a list of texts; a snapshot is that list. `Invariants` are checked as things happen.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Membership } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import type { MachineOptions } from "../../src/core/MachineOptions.js"
import { RaftMachine } from "../../src/core/RaftMachine.js"
import { RaftViolation } from "../../src/core/RaftViolation.js"
import type { ReadAnswer, Ready } from "../../src/core/Ready.js"
import type { HardState } from "../../src/RaftStore.js"
import { Invariants } from "./Invariants.js"

export interface Applied {
  readonly index: number
  readonly text: string
}

/** What survives a crash. */
export interface MachineDisk {
  hardState: HardState
  snapshot: SnapshotMeta | undefined
  content: ReadonlyArray<Applied>
  /** Dense, maybe from before the snapshot's end. */
  entries: Array<Entry>
  staged: { readonly snapshot: SnapshotMeta; readonly chunks: Array<Uint8Array> } | undefined
}

export const emptyDisk = (): MachineDisk => ({
  hardState: { term: 0, votedFor: 0, commitIndex: 0 },
  snapshot: undefined,
  content: [],
  entries: [],
  staged: undefined
})

export class MachineNode {
  machine: RaftMachine
  applied: ReadonlyArray<Applied>
  /** A write waits for a slow disk. */
  held: Ready | undefined
  diskIsSlow = false
  diskIsFull = false
  /** Why it takes part no more. */
  fenced: string | undefined
  readonly reads: Array<ReadAnswer> = []

  constructor(
    readonly nodeId: number,
    readonly options: MachineOptions,
    readonly disk: MachineDisk
  ) {
    this.machine = new RaftMachine(options, disk)
    this.applied = disk.content
  }
}

export type Filter = (message: RaftMessage) => boolean

export const chunkBytes = 64

export class MachineCluster {
  readonly nodes = new Map<number, MachineNode>()
  readonly disks = new Map<number, MachineDisk>()
  /** On their way, oldest first. */
  flying: Array<RaftMessage> = []
  /** `from->to` that loses everything. */
  readonly cuts = new Set<string>()
  readonly invariants = new Invariants(this.disks)
  /** Asked where a crash may happen within a turn: before a write, and between the write and what is sent after it. */
  crashesAt: (node: MachineNode, place: "beforeWrite" | "afterWrite") => boolean = () => false

  start(nodeId: number, options: MachineOptions): MachineNode {
    const disk = this.disks.get(nodeId) ?? emptyDisk()
    this.disks.set(nodeId, disk)
    const node = new MachineNode(nodeId, options, disk)
    this.nodes.set(nodeId, node)
    this.invariants.started(node)
    return node
  }

  /** What is not on its disk is gone. */
  crash(nodeId: number): void {
    this.nodes.delete(nodeId)
  }

  node(nodeId: number): MachineNode {
    const node = this.nodes.get(nodeId)
    if (node === undefined) throw new Error(`node ${nodeId} does not run`)
    return node
  }

  /** Lets the machine do something, then does what comes out. */
  act<A>(nodeId: number, action: (machine: RaftMachine) => A): A | undefined {
    const node = this.node(nodeId)
    if (node.fenced !== undefined) return undefined
    try {
      const result = action(node.machine)
      if (this.nodes.get(nodeId) === node) this.settle(node)
      return result
    } catch (problem) {
      if (!(problem instanceof RaftViolation)) throw problem
      node.fenced = problem.message
      return undefined
    }
  }

  send(messages: ReadonlyArray<RaftMessage>): void {
    for (const message of messages) {
      this.invariants.sent(message)
      if (!this.cuts.has(`${message.from}->${message.to}`)) this.flying.push(message)
    }
  }

  /** The first message that fits arrives; undefined where there is none. A member whose disk is busy takes nothing. */
  deliverFirst(filter: Filter): RaftMessage | undefined {
    const at = this.flying.findIndex((message) => filter(message) && this.nodes.get(message.to)?.held === undefined)
    if (at < 0) return undefined
    const [message] = this.flying.splice(at, 1) as [RaftMessage]
    this.deliver(message)
    return message
  }

  deliver(message: RaftMessage): void {
    if (this.nodes.has(message.to)) this.act(message.to, (machine) => machine.step(message))
  }

  /** The slow write is done. */
  finishWrite(nodeId: number): void {
    const node = this.node(nodeId)
    const held = node.held
    node.held = undefined
    if (held === undefined) return
    this.act(nodeId, () => this.finish(node, held))
  }

  private settle(node: MachineNode): void {
    if (node.held !== undefined) return
    this.invariants.look(node)
    for (;;) {
      const { isQuiet } = node.machine
      const ready = node.machine.ready()
      if (isQuiet && ready !== undefined) throw new Error(`node ${node.nodeId} has something to do, and said that it has not`)
      if (!isQuiet && ready === undefined && node.machine.role !== "leader") {
        throw new Error(`node ${node.nodeId} has nothing to do, and did not say so`)
      }
      if (ready === undefined) return
      this.send(ready.messages)
      if (ready.write !== undefined && node.diskIsSlow) {
        node.held = ready
        return
      }
      if (!this.finish(node, ready)) return
    }
  }

  /** False when it crashed on the way. */
  private finish(node: MachineNode, ready: Ready): boolean {
    const { disk, machine } = node
    if (this.crashesAt(node, "beforeWrite")) return this.crashed(node)
    if (ready.write?.hardState !== undefined) disk.hardState = ready.write.hardState
    const entries = ready.write?.entries ?? []
    if (entries.length > 0) {
      const first = entries[0] as Entry
      disk.entries = [...disk.entries.filter((entry) => entry.index < first.index), ...entries]
    }
    const staged = !node.diskIsFull
    if (staged) for (const { snapshot, chunk, data } of ready.chunks) stageChunk(disk, snapshot, chunk, data)
    for (const entry of ready.committed) {
      if (entry.kind === "command") {
        node.applied = [...node.applied, { index: entry.index, text: Buffer.from(entry.data).toString() }]
      }
    }
    if (ready.committed.length > 0) this.invariants.applied(node, ready.committed)
    if (ready.install !== undefined && staged) this.install(node, ready.install)
    if (!staged && ready.chunks.length > 0) machine.snapshotFailed()
    if (this.crashesAt(node, "afterWrite")) return this.crashed(node)
    this.send(ready.messagesAfterWrite.filter((message) => staged || message._tag !== "SnapshotReply"))
    for (const { to, term, snapshot, chunk } of ready.chunkReads) {
      this.invariants.readsChunkOf(node, snapshot)
      const data = chunksOf(disk.content)[chunk] as Uint8Array
      this.send([{ _tag: "SnapshotRequest", from: node.nodeId, to, term, snapshot, chunk, data }])
    }
    machine.advance()
    node.reads.push(...ready.reads)
    this.invariants.look(node)
    return true
  }

  private crashed(node: MachineNode): boolean {
    this.crash(node.nodeId)
    return false
  }

  private install(node: MachineNode, snapshot: SnapshotMeta): void {
    const { disk } = node
    const chunks = disk.staged?.chunks ?? []
    disk.content = JSON.parse(Buffer.concat(chunks).toString()) as ReadonlyArray<Applied>
    disk.snapshot = snapshot
    disk.entries = []
    disk.staged = undefined
    node.applied = disk.content
    this.invariants.installed(node, snapshot)
  }

  /** Of everything applied; the log keeps `kept` entries before its end. */
  takeSnapshot(nodeId: number, kept: number): SnapshotMeta | undefined {
    return this.act(nodeId, (machine) => {
      const node = this.node(nodeId)
      const { disk } = node
      const index = machine.appliedIndex
      if (index <= (disk.snapshot?.index ?? 0) || machine.isReceivingSnapshot) return undefined
      const chunks = chunksOf(node.applied)
      const snapshot: SnapshotMeta = {
        index,
        term: machine.termAt(index),
        membership: machine.membershipAt(index),
        chunks: chunks.length,
        bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      }
      disk.snapshot = snapshot
      disk.content = node.applied
      machine.snapshotTaken(snapshot)
      const cut = machine.compactionPoint(kept, Number.MAX_SAFE_INTEGER)
      disk.entries = disk.entries.filter((entry) => entry.index > cut)
      machine.compact(cut)
      return snapshot
    })
  }
}

const chunksOf = (content: ReadonlyArray<Applied>): ReadonlyArray<Uint8Array> => {
  const whole = Buffer.from(JSON.stringify(content))
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < whole.length; at += chunkBytes) chunks.push(whole.subarray(at, at + chunkBytes))
  return chunks
}

const stageChunk = (disk: MachineDisk, snapshot: SnapshotMeta, chunk: number, data: Uint8Array): void => {
  const isSame = disk.staged?.snapshot.index === snapshot.index && disk.staged.snapshot.term === snapshot.term
  if (disk.staged === undefined || !isSame || chunk === 0) disk.staged = { snapshot, chunks: [] }
  disk.staged.chunks[chunk] = data
}

/** A membership from the beginning, as if in a snapshot of nothing: so that logs of figures begin at 1. */
export const beginWith = (disk: MachineDisk, membership: Membership): void => {
  disk.snapshot = { index: 0, term: 0, membership, chunks: 1, bytes: 2 }
}

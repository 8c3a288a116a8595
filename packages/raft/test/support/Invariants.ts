/**
 * What Raft promises, checked from outside over all members (Raft paper, figure 3).
 *
 * - Election safety: at most one leader in a term.
 * - Log matching: where two logs have an entry of the same index and term, they are the same up to there. It is enough that an
 *   entry of an index and a term is always the same, with the same term before it.
 * - Leader completeness: a leader has every entry that was committed in an earlier term.
 * - State machine safety: an index is committed with one entry only; nobody applies another, and none twice.
 * - What is committed is on the disks of a majority; what a member tells others (its term, its vote, what it has) is on its own.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { hasMajority } from "../../src/core/Quorum.js"
import type { MachineDisk, MachineNode } from "./MachineCluster.js"

const textOf = (entry: Entry): string => {
  if (entry.kind === "command") return `command ${Buffer.from(entry.data).toString()}`
  return entry.kind === "membership" ? `membership ${JSON.stringify(entry.membership)}` : entry.kind
}

export class Invariants {
  private readonly leaderByTerm = new Map<number, number>()
  /** By `index/term`: what it says and the term before it. */
  private readonly entryByPlace = new Map<string, string>()
  /** What was committed at each index: its term and text. */
  readonly committed = new Map<number, { readonly term: number; readonly text: string; readonly entry: Entry }>()
  committedUpTo = 0
  private readonly appliedByNode = new Map<number, number>()
  /** Whose leadership was checked for completeness. */
  private readonly completeTerms = new Set<number>()
  /** What each looked like the last time: where that is the same, so is the rest. */
  private readonly seenByMachine = new WeakMap<object, string>()
  /** Entries that were looked at, with the term before them. */
  private readonly known = new WeakMap<Entry, number>()

  /** The last one that was committed. */
  private membershipIndex = 0
  private membershipText = ""

  constructor(private readonly disks: ReadonlyMap<number, MachineDisk>) {}

  started(node: MachineNode): void {
    this.appliedByNode.set(node.nodeId, node.machine.appliedIndex)
  }

  /** False where a test breaks what they stand on: a disk that forgets. */
  areOn = true

  private demand(right: boolean, problem: () => string): void {
    if (!right && this.areOn) throw new Error(`broken: ${problem()}`)
  }

  look(node: MachineNode): void {
    const { machine, nodeId } = node
    const { role, term, lastIndex, commitIndex, membershipIndex, firstIndex } = machine
    const seen = `${role} ${term} ${firstIndex} ${lastIndex}/${machine.termAt(lastIndex)} ${commitIndex} ${membershipIndex}`
    if (this.seenByMachine.get(machine) === seen) return
    this.seenByMachine.set(machine, seen)
    if (machine.role === "leader") this.lookAtLeader(node)
    let previousTerm = machine.termAt(machine.firstIndex - 1)
    for (const entry of machine.entries(machine.firstIndex, machine.lastIndex)) {
      const beforeIt = previousTerm
      previousTerm = entry.term
      if (this.known.get(entry) === beforeIt) continue
      this.known.set(entry, beforeIt)
      const place = `${entry.index}/${entry.term}`
      const says = `${textOf(entry)}, after ${beforeIt}`
      const known = this.entryByPlace.get(place)
      if (known === undefined) this.entryByPlace.set(place, says)
      else this.demand(known === says, () => `entry ${place} is "${known}", and on node ${nodeId} "${says}"`)
    }
    this.lookAtCommitted(node)
    this.lookAtMembership(node)
  }

  /** In force is what the log says, and what was committed where the log no longer says it. */
  private lookAtMembership({ machine, nodeId }: MachineNode): void {
    const { membershipIndex, membership, firstIndex } = machine
    const entry = machine.entries(membershipIndex, membershipIndex)[0]
    if (membershipIndex > (machine.snapshot?.index ?? 0)) {
      this.demand(entry?.kind === "membership", () => `node ${nodeId} has a membership of ${membershipIndex}, its log has not`)
    }
    for (const later of machine.entries(Math.max(membershipIndex + 1, firstIndex), machine.lastIndex)) {
      this.demand(later.kind !== "membership", () => `node ${nodeId} does not heed the membership at ${later.index}`)
    }
    if (this.membershipIndex > machine.commitIndex || membershipIndex > machine.commitIndex) return
    this.demand(
      this.membershipText === "" || this.membershipText === JSON.stringify(membership),
      () => `node ${nodeId} has ${JSON.stringify(membership)}, committed at ${this.membershipIndex} is ${this.membershipText}`
    )
  }

  private lookAtLeader({ machine, nodeId }: MachineNode): void {
    const other = this.leaderByTerm.get(machine.term)
    this.demand(other === undefined || other === nodeId, () => `nodes ${other} and ${nodeId} lead in term ${machine.term}`)
    this.leaderByTerm.set(machine.term, nodeId)
    if (this.completeTerms.has(machine.term)) return
    this.completeTerms.add(machine.term)
    for (const [index, { term }] of this.committed) {
      if (term >= machine.term || index < machine.firstIndex) continue
      this.demand(
        machine.termAt(index) === term,
        () => `node ${nodeId} leads in term ${machine.term} without entry ${index}/${term}, which is committed`
      )
    }
    this.demand(machine.lastIndex >= this.committedBefore(machine.term), () => `leader ${nodeId} lacks committed entries`)
  }

  private committedBefore(term: number): number {
    let last = 0
    for (const [index, entry] of this.committed) if (entry.term < term && index > last) last = index
    return last
  }

  private lookAtCommitted({ machine, nodeId }: MachineNode): void {
    for (const entry of machine.entries(Math.max(machine.firstIndex, 1), machine.commitIndex)) {
      const known = this.committed.get(entry.index)
      if (known?.entry === entry) continue
      const text = textOf(entry)
      if (known === undefined) {
        this.committed.set(entry.index, { term: entry.term, text, entry })
        if (entry.kind === "membership" && entry.index > this.membershipIndex) {
          this.membershipIndex = entry.index
          this.membershipText = JSON.stringify(entry.membership)
        }
        this.demand(
          machine.role !== "leader" || hasMajority(machine.membership, (voter) => this.isOnDisk(voter, entry)),
          () => `entry ${entry.index} is committed by node ${nodeId} and not on the disks of a majority`
        )
      } else {
        this.demand(
          known.term === entry.term && known.text === text,
          () => `entry ${entry.index} was committed as ${known.term} ${known.text}, on node ${nodeId} as ${entry.term} ${text}`
        )
      }
    }
    this.committedUpTo = Math.max(this.committedUpTo, machine.commitIndex)
  }

  applied(node: MachineNode, entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      const before = this.appliedByNode.get(node.nodeId) ?? 0
      this.demand(entry.index === before + 1, () => `node ${node.nodeId} applies ${entry.index} after ${before}`)
      this.appliedByNode.set(node.nodeId, entry.index)
      const known = this.committed.get(entry.index)
      this.demand(
        known === undefined || (known.term === entry.term && known.text === textOf(entry)),
        () => `node ${node.nodeId} applies another entry ${entry.index} than was committed`
      )
    }
  }

  installed(node: MachineNode, snapshot: SnapshotMeta): void {
    this.appliedByNode.set(node.nodeId, snapshot.index)
    const texts = new Set(node.applied.map((one) => one.index))
    for (const [index, { text }] of this.committed) {
      if (index > snapshot.index || !text.startsWith("command ")) continue
      this.demand(texts.has(index), () => `the snapshot at ${snapshot.index} on node ${node.nodeId} lacks entry ${index}`)
    }
  }

  /** A store keeps the newest snapshot only. */
  readsChunkOf({ nodeId, disk }: MachineNode, snapshot: SnapshotMeta): void {
    const kept = disk.snapshot?.index
    this.demand(kept === snapshot.index, () => `node ${nodeId} is to send of its snapshot at ${snapshot.index}, it has ${kept}`)
  }

  private isOnDisk(nodeId: number, { index, term }: { readonly index: number; readonly term: number }): boolean {
    const disk = this.disks.get(nodeId)
    if (disk === undefined) return false
    if (disk.snapshot !== undefined && disk.snapshot.index >= index) return true
    return disk.entries.some((entry) => entry.index === index && entry.term === term)
  }

  /** A message tells others nothing that is not on the sender's disk. */
  sent(message: RaftMessage): void {
    const disk = this.disks.get(message.from)
    const isPreVote = (message._tag === "VoteRequest" || message._tag === "VoteReply") && message.preVote
    if (disk === undefined || isPreVote) return
    const { hardState } = disk
    const told = () => `node ${message.from} sends ${message._tag} of term ${message.term}`
    this.demand(hardState.term >= message.term, () => `${told()}, which is not durable`)
    if (message._tag === "VoteReply" && message.granted && hardState.term === message.term) {
      this.demand(hardState.votedFor === message.to, () => `${told()}, its vote is not durable`)
    }
    if (message._tag === "AppendReply" && message.accepted) {
      const last = disk.entries[disk.entries.length - 1]?.index ?? disk.snapshot?.index ?? 0
      this.demand(last >= message.index, () => `${told()} for ${message.index}, its disk has entries up to ${last}`)
    }
  }
}

/**
 * The command language of the scenarios (test/scenarios/README.md lists it): each command drives the cluster by hand and gives
 * lines that show what came of it.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import { defaultLimits, type MachineOptions } from "../../src/core/MachineOptions.js"
import { emptyMembership } from "../../src/core/Quorum.js"
import { RaftViolation } from "../../src/core/RaftViolation.js"
import type { Refusal } from "../../src/core/Ready.js"
import { beginWith, emptyDisk, type Filter, MachineCluster, type MachineNode } from "./MachineCluster.js"
import { kindOf, renderLog, renderMembership, renderMessage, renderProgress, renderRole, renderStatus } from "./Render.js"

/** Words, and `name=value` pairs. */
export interface Command {
  readonly words: ReadonlyArray<string>
  readonly named: ReadonlyMap<string, string>
}

export const parseCommand = (line: string): Command => {
  const words: Array<string> = []
  const named = new Map<string, string>()
  for (const word of line.trim().split(/\s+/)) {
    const at = word.indexOf("=")
    if (at > 0) named.set(word.slice(0, at), word.slice(at + 1))
    else words.push(word)
  }
  return { words, named }
}

const numbers = (text: string | undefined): ReadonlyArray<number> =>
  text === undefined || text === "" ? [] : text.split(",").map(Number)

const memberOf = (nodeId: number): Member => ({ nodeId, address: `node${nodeId}:1` })
const deliveriesMax = 5_000

export class Scenario {
  private readonly cluster = new MachineCluster()
  private readonly roles = new Map<number, string>()
  private readonly optionsByNode = new Map<number, MachineOptions>()
  private options: Omit<MachineOptions, "nodeId" | "drawElectionTicks"> = {
    ...defaultLimits,
    heartbeatTicks: 1,
    electionTicks: 10,
    preVote: true,
    checkQuorum: true,
    leaseReads: false,
    leaseMarginTicks: 2
  }
  private nextReadId = 1

  run(line: string): ReadonlyArray<string> {
    const command = parseCommand(line)
    const [name, ...rest] = command.words
    const action = this.actions[name as string]
    if (action === undefined) throw new Error(`no command ${name}`)
    const shown = action({ ...command, words: rest })
    return [...shown, ...this.roleChanges()]
  }

  private roleChanges(): ReadonlyArray<string> {
    const changes: Array<string> = []
    for (const [nodeId, node] of [...this.cluster.nodes].sort(([a], [b]) => a - b)) {
      const role = renderRole(node)
      if (this.roles.get(nodeId) !== role) changes.push(`${nodeId} is ${role}`)
      this.roles.set(nodeId, role)
    }
    return changes
  }

  private nodes(words: ReadonlyArray<string>): ReadonlyArray<MachineNode> {
    const all = [...this.cluster.nodes.values()].sort((a, b) => a.nodeId - b.nodeId)
    return words.length === 0 || words[0] === "all"
      ? all
      : words.flatMap((word) => numbers(word)).map((id) => this.cluster.node(id))
  }

  private act<A>(word: string | undefined, action: (machine: MachineNode["machine"]) => A): A | undefined {
    return this.cluster.act(Number(word), action)
  }

  private outcome(result: number | Refusal | undefined): ReadonlyArray<string> {
    if (result === undefined || typeof result === "number") return []
    return [`refused, ${result.reason}: ${result.message}`]
  }

  private filter(named: ReadonlyMap<string, string>): Filter {
    const from = numbers(named.get("from"))
    const to = numbers(named.get("to"))
    const kinds = named.get("kind")?.split(",") ?? []
    return (message) =>
      (from.length === 0 || from.includes(message.from)) &&
      (to.length === 0 || to.includes(message.to)) &&
      (kinds.length === 0 || kinds.includes(kindOf(message)))
  }

  private take(named: ReadonlyMap<string, string>): ReadonlyArray<RaftMessage> {
    const filter = this.filter(named)
    const count = Number(named.get("count") ?? Number.POSITIVE_INFINITY)
    const taken = this.cluster.flying.filter(filter).slice(0, count)
    this.cluster.flying = this.cluster.flying.filter((message) => !taken.includes(message))
    return taken
  }

  /** What a member's disk holds before it starts: `log=1,1,4` are terms of entries `a`, `b`, `c`... of that term. */
  private fill(nodeId: number, named: ReadonlyMap<string, string>): void {
    const disk = this.cluster.disks.get(nodeId) ?? emptyDisk()
    this.cluster.disks.set(nodeId, disk)
    const terms = numbers(named.get("log"))
    disk.entries = terms.map((term, at): Entry => {
      const data = Buffer.from(`${String.fromCharCode(97 + (at % 26))}${term}`)
      return { kind: "command", index: at + 1, term, data }
    })
    const term = Number(named.get("term") ?? terms.at(-1) ?? 0)
    disk.hardState = { term, votedFor: Number(named.get("voted") ?? 0), commitIndex: Number(named.get("commit") ?? 0) }
  }

  private startNode(nodeId: number, named: ReadonlyMap<string, string>): ReadonlyArray<string> {
    const flag = (name: string, standard: boolean) => (named.has(name) ? named.get(name) === "on" : standard)
    const figure = (name: string, standard: number) => Number(named.get(name) ?? standard)
    const base = this.optionsByNode.get(nodeId) ?? this.options
    const options: MachineOptions = {
      ...base,
      nodeId,
      // Lower ids lose patience earlier, so that every run is the same.
      drawElectionTicks: () => base.electionTicks + (nodeId - 1) * 2,
      preVote: flag("prevote", base.preVote),
      checkQuorum: flag("checkquorum", base.checkQuorum),
      leaseReads: flag("lease", base.leaseReads),
      inflightMessagesMax: figure("inflight", base.inflightMessagesMax),
      inflightBytesMax: figure("inflightbytes", base.inflightBytesMax),
      appendBytesMax: figure("appendbytes", base.appendBytesMax),
      commandBytesMax: figure("commandbytes", base.commandBytesMax),
      uncommittedBytesMax: figure("uncommitted", base.uncommittedBytesMax),
      applyBytesMax: figure("applybytes", base.applyBytesMax),
      readsWaitingMax: figure("reads", base.readsWaitingMax),
      promoteLagEntriesMax: figure("promotelag", base.promoteLagEntriesMax)
    }
    this.optionsByNode.set(nodeId, options)
    try {
      this.roles.set(nodeId, renderRole(this.cluster.start(nodeId, options)))
      return []
    } catch (problem) {
      if (!(problem instanceof RaftViolation)) throw problem
      return [`${nodeId} does not start: ${problem.message}`]
    }
  }

  private readonly actions: Record<string, (command: Command) => ReadonlyArray<string>> = {
    create: ({ named }) => {
      const voters = numbers(named.get("voters"))
      const learners = numbers(named.get("learners"))
      const all = [...voters, ...learners].sort((a, b) => a - b)
      for (const nodeId of all) {
        const disk = emptyDisk()
        beginWith(disk, { ...emptyMembership, voters, learners, members: all.map(memberOf) })
        this.cluster.disks.set(nodeId, disk)
        this.startNode(nodeId, named)
      }
      return []
    },
    /** Stops it, alters what its disk holds and starts it again: `store 1 term=4 log=1,1,4 voted=2 commit=1`. */
    store: ({ words, named }) => {
      const nodeId = Number(words[0])
      this.cluster.crash(nodeId)
      this.fill(nodeId, named)
      return this.startNode(nodeId, named)
    },
    start: ({ words, named }) => {
      return words.flatMap((word) => this.startNode(Number(word), named))
    },
    crash: ({ words }) => {
      for (const word of words) {
        this.cluster.crash(Number(word))
        this.roles.delete(Number(word))
      }
      return []
    },
    restart: ({ words, named }) => {
      return words.flatMap((word) => {
        this.cluster.crash(Number(word))
        return this.startNode(Number(word), named)
      })
    },
    /** From here on disks may forget, so nothing is promised any more. */
    "disks-lie": () => {
      this.cluster.invariants.areOn = false
      return []
    },
    /** Of what was written. */
    "lose-tail": ({ words, named }) => {
      const disk = this.cluster.disks.get(Number(words[0]))
      disk?.entries.splice(-Number(named.get("entries") ?? 1))
      if (disk !== undefined && named.has("commit")) {
        disk.hardState = { ...disk.hardState, commitIndex: Number(named.get("commit")) }
      }
      return []
    },
    "slow-disk": ({ words }) => {
      for (const node of this.nodes(words)) node.diskIsSlow = true
      return []
    },
    "full-disk": ({ words }) => {
      for (const node of this.nodes(words)) node.diskIsFull = true
      return []
    },
    "free-disk": ({ words }) => {
      for (const node of this.nodes(words)) node.diskIsFull = false
      return []
    },
    /** The write that waits is done; the next ones are as slow. */
    written: ({ words }) => {
      for (const word of words) this.cluster.finishWrite(Number(word))
      return []
    },
    "fast-disk": ({ words }) => {
      for (const node of this.nodes(words)) {
        node.diskIsSlow = false
        this.cluster.finishWrite(node.nodeId)
      }
      return []
    },
    tick: ({ words, named }) => {
      const count = Number(named.get("count") ?? 1)
      const elapsed = Number(named.get("elapsed") ?? 1)
      for (let at = 0; at < count; at++) {
        for (const { nodeId } of this.nodes(words)) this.cluster.act(nodeId, (machine) => machine.tick(elapsed))
      }
      return []
    },
    /** Ticks with all messages delivered after each. */
    run: ({ words, named }) => {
      const count = Number(named.get("count") ?? 1)
      for (let at = 0; at < count; at++) {
        for (const { nodeId } of this.nodes(words)) this.cluster.act(nodeId, (machine) => machine.tick())
        this.deliverAll(() => true)
      }
      return []
    },
    campaign: ({ words }) => {
      for (const word of words) this.act(word, (machine) => machine.campaign())
      return []
    },
    propose: ({ words: [nodeId, ...texts], named }) => {
      const padding = named.has("bytes") ? Number(named.get("bytes")) : 0
      return texts.flatMap((text) =>
        this.outcome(this.act(nodeId, (machine) => machine.propose(Buffer.from(text.padEnd(padding, ".")))))
      )
    },
    /** In one turn of the leader. */
    "propose-at-once": ({ words: [nodeId, ...texts] }) =>
      this.outcome(
        this.act(nodeId, (machine) => {
          for (const text of texts) machine.propose(Buffer.from(text))
          return undefined
        })
      ),
    "add-learner": ({ words: [nodeId, other] }) =>
      this.outcome(
        this.act(nodeId, (machine) => machine.changeMembership({ _tag: "AddLearner", member: memberOf(Number(other)) }))
      ),
    promote: ({ words: [nodeId, other] }) =>
      this.outcome(this.act(nodeId, (machine) => machine.changeMembership({ _tag: "Promote", nodeId: Number(other) }))),
    remove: ({ words: [nodeId, other] }) =>
      this.outcome(this.act(nodeId, (machine) => machine.changeMembership({ _tag: "Remove", nodeId: Number(other) }))),
    "set-address": ({ words: [nodeId, other, address] }) =>
      this.outcome(
        this.act(nodeId, (machine) =>
          machine.changeMembership({ _tag: "SetAddress", member: { nodeId: Number(other), address: String(address) } })
        )
      ),
    transfer: ({ words: [nodeId, other] }) =>
      this.outcome(this.act(nodeId, (machine) => machine.transferLeadership(Number(other)))),
    "step-down": ({ words: [nodeId] }) => {
      this.act(nodeId, (machine) => machine.stepDown())
      return []
    },
    read: ({ words: [nodeId] }) => {
      const requestId = this.nextReadId++
      this.act(nodeId, (machine) => machine.readIndex(requestId))
      return []
    },
    snapshot: ({ words: [nodeId], named }) => {
      const snapshot = this.cluster.takeSnapshot(Number(nodeId), Number(named.get("keep") ?? 0))
      return [snapshot === undefined ? "none taken" : `snapshot at ${snapshot.index}/${snapshot.term}, ${snapshot.chunks} chunks`]
    },
    cut: ({ words }) => {
      for (const word of words) {
        const [from, to] = word.split(/->|--/) as [string, string]
        this.cluster.cuts.add(`${from}->${to}`)
        if (word.includes("--")) this.cluster.cuts.add(`${to}->${from}`)
      }
      return []
    },
    isolate: ({ words }) => {
      for (const word of words) {
        for (const nodeId of this.cluster.disks.keys()) {
          this.cluster.cuts.add(`${word}->${nodeId}`)
          this.cluster.cuts.add(`${nodeId}->${word}`)
        }
      }
      return []
    },
    heal: () => {
      this.cluster.cuts.clear()
      return []
    },
    /** Everything that fits, and what comes of it, until nothing is left; each shown. */
    deliver: ({ named }) => this.deliverAll(this.filter(named), Number(named.get("count") ?? deliveriesMax)),
    /** In one turn of whoever they are for, as a driver does with what gathered. */
    "deliver-at-once": ({ named }) => {
      const taken = this.take(named)
      for (const nodeId of new Set(taken.map(({ to }) => to))) {
        if (!this.cluster.nodes.has(nodeId)) continue
        this.cluster.act(nodeId, (machine) => {
          for (const message of taken) if (message.to === nodeId) machine.step(message)
        })
      }
      return taken.map(renderMessage)
    },
    /** As `deliver`, not shown. */
    settle: ({ named }) => {
      this.deliverAll(this.filter(named))
      return []
    },
    drop: ({ named }) => this.take(named).map((message) => `lost ${renderMessage(message)}`),
    duplicate: ({ named }) => {
      const taken = this.take(named)
      this.cluster.flying.push(...taken, ...taken)
      return []
    },
    /** Behind all others. */
    delay: ({ named }) => {
      const taken = this.take(named)
      this.cluster.flying.push(...taken)
      return []
    },
    reverse: ({ named }) => {
      const taken = [...this.take(named)].reverse()
      this.cluster.flying.push(...taken)
      return []
    },
    flying: ({ named }) => this.cluster.flying.filter(this.filter(named)).map(renderMessage),
    status: ({ words }) => this.nodes(words).map((node) => `${node.nodeId}: ${renderStatus(node)}`),
    log: ({ words }) => this.nodes(words).map((node) => `${node.nodeId}: ${renderLog(node)}`),
    applied: ({ words }) =>
      this.nodes(words).map(
        (node) => `${node.nodeId}: ${node.applied.map((one) => one.text.replace(/\.+$/, "")).join(" ") || "nothing"}`
      ),
    progress: ({ words: [nodeId] }) => renderProgress(this.cluster.node(Number(nodeId))),
    members: ({ words }) => this.nodes(words).map((node) => `${node.nodeId}: ${renderMembership(node.machine.membership)}`),
    /** Whom it must be able to reach. */
    known: ({ words }) =>
      this.nodes(words).map((node) => `${node.nodeId}: ${node.machine.knownMembers.map((member) => member.nodeId).join(",")}`),
    disk: ({ words }) =>
      words.map((word) => {
        const disk = this.cluster.disks.get(Number(word)) ?? emptyDisk()
        const { term, votedFor } = disk.hardState
        const entries = disk.entries.map((entry) => `${entry.index}/${entry.term}`).join(" ")
        const snapshot = disk.snapshot === undefined || disk.snapshot.index === 0 ? "" : ` snapshot=${disk.snapshot.index}`
        return `${word}: term=${term} voted=${votedFor}${snapshot} entries=${entries}`
      }),
    /** The answers since the last time, in order. */
    reads: ({ words }) =>
      this.nodes(words).flatMap((node) =>
        node.reads
          .splice(0)
          .map((read) => `${node.nodeId}: read ${read.requestId} ${read.index < 0 ? "ask again" : `at ${read.index}`}`)
      )
  }

  private deliverAll(filter: Filter, count = deliveriesMax): ReadonlyArray<string> {
    const shown: Array<string> = []
    for (let at = 0; at < count; at++) {
      const message = this.cluster.deliverFirst(filter)
      if (message === undefined) return shown
      shown.push(this.cluster.nodes.has(message.to) ? renderMessage(message) : `${renderMessage(message)} (nobody there)`)
    }
    if (count === deliveriesMax) throw new Error(`after ${count} messages there are still more`)
    return shown
  }
}

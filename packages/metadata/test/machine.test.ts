/** The state machine as a Raft node drives it, one call at a time, over a Raft node that a test plays. */
import { type RaftNodeService, type RaftStatus, RaftUnavailable } from "@effectmq/raft/RaftNode"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { CommandEntry } from "@effectmq/schemas/raft/Entry"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterEach, describe, expect, it } from "vitest"
import { entryData } from "../src/core/EntryChain.js"
import type { Offer } from "../src/internal/Outcomes.js"
import { defaultOptions, MetadataMachine, type MetadataMachineOptions } from "../src/MetadataMachine.js"
import { command, tenant } from "./commands.js"
import { until } from "./support/MemoryCluster.js"

const status: RaftStatus = {
  nodeId: 1,
  role: "leader",
  term: 1,
  leaderId: 1,
  firstIndex: 1,
  lastIndex: 1,
  commitIndex: 1,
  appliedIndex: 1,
  snapshotIndex: 0,
  membershipIndex: 0,
  membership: { voters: [1, 2], outgoingVoters: [], learners: [], members: [{ nodeId: 2, address: "two:1" }] },
  followers: [],
  fenced: undefined,
  noSpace: undefined
}

/** Keeps what is proposed until the test has it applied. */
class PlayedRaft {
  proposed: Array<CommandEntry> = []
  refuses: RaftUnavailable["reason"] | undefined
  fencedWith: string | undefined
  statusNow = status
  nextIndex = 10
  barriers: Array<Deferred.Deferred<number, RaftUnavailable>> = []

  readonly service: RaftNodeService = {
    storeId: "s",
    status: () => this.statusNow,
    propose: (term, data) => {
      if (this.refuses !== undefined) return Either.left(new RaftUnavailable({ reason: this.refuses, message: "no" }))
      const index = this.nextIndex++
      this.proposed.push({ kind: "command", index, term, data })
      return Either.right(index)
    },
    readBarrier: Effect.suspend(() => {
      const barrier = Effect.runSync(Deferred.make<number, RaftUnavailable>())
      this.barriers.push(barrier)
      return Deferred.await(barrier)
    }),
    changeMembership: () => Effect.void,
    transferLeadership: () => Effect.void,
    handOver: Effect.void,
    takeSnapshot: Effect.never,
    onStatus: () => () => undefined,
    setContacts: () => undefined,
    fence: (reason) => {
      this.fencedWith = reason
    }
  }

  confirm(): void {
    for (const barrier of this.barriers.splice(0)) Effect.runSync(Deferred.succeed(barrier, 0))
  }

  lose(): void {
    const lost = new RaftUnavailable({ reason: "no-leader", message: "lost" })
    for (const barrier of this.barriers.splice(0)) Effect.runSync(Deferred.fail(barrier, lost))
  }
}

const scopes: Array<Scope.CloseableScope> = []
afterEach(async () => {
  for (const scope of scopes.splice(0)) await Effect.runPromise(Scope.close(scope, Exit.void))
})

const made: ReadonlyArray<MetadataEvent> = [{ _tag: "TenantCreated", tenant, quota: {}, createdAtMs: 1 }]
const entryOf = (index: number, term: number, events: ReadonlyArray<MetadataEvent>): CommandEntry => ({
  kind: "command",
  index,
  term,
  data: entryData(events.map(metadataEventCodec.encode))
})

const machineWith = (options: Partial<MetadataMachineOptions> = {}) => {
  const raft = new PlayedRaft()
  const complaints: Array<string> = []
  const machine = new MetadataMachine({ ...defaultOptions, ...options }, (message) => complaints.push(message))
  const scope = Effect.runSync(Scope.make())
  scopes.push(scope)
  Effect.runSync(Scope.extend(machine.serve(raft.service), scope))
  machine.apply([entryOf(1, 1, made)])
  return { machine, raft, complaints }
}

type Made = ReturnType<typeof machineWith>

const offer = (
  { machine }: Pick<Made, "machine">,
  wish: MetadataCommand,
  more: Partial<Offer> & { readonly term?: number } = {}
) => {
  const answers: Array<SubmitOutcome> = []
  const { term = machine.leadsInTerm, ...fields } = more
  const takeBack = machine.offer(term, {
    command: wish,
    basisVersion: machine.view.image().version,
    attempt: 1,
    deadlineMs: Number.MAX_SAFE_INTEGER,
    answer: (outcome) => answers.push(outcome),
    ...fields
  })
  return { answers, takeBack }
}

const topic = (name: string) => command("CreateTopic", { tenant, name })
const topicCreated = (name: string): MetadataEvent => ({
  _tag: "TopicCreated",
  tenant,
  name,
  topicId: 2,
  engine: "file",
  partitions: 1,
  cleanup: "delete",
  durability: "fsync",
  createdAtMs: 1
})
const settle = () => new Promise((resolve) => setTimeout(resolve, 5))

describe("the leader", () => {
  it("answers when its entry is applied, with the image it decided", async () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [])
    const { answers } = offer({ machine }, topic("a"))
    await until(() => raft.proposed.length === 1)
    expect(raft.proposed[0]).toMatchObject({ term: 2, index: 10 })
    expect(machine.view.image().topicsByName.size).toBe(0)
    expect(answers).toEqual([])
    machine.apply(raft.proposed)
    expect(machine.view.image().topicsByName.size).toBe(1)
    expect(answers).toEqual([{ _tag: "Done", reply: { topicId: 2, version: 3 } }])
  })

  it("stands on what an earlier leader left in its log, and refuses only once it is confirmed and that is applied", async () => {
    const { machine, raft } = machineWith()
    const left = entryOf(5, 1, [topicCreated("a")])
    machine.leadershipBegan(2, [left, { kind: "noop", index: 6, term: 2 }])
    const { answers } = offer({ machine }, topic("a"))
    await until(() => raft.barriers.length === 1)
    raft.confirm()
    await settle()
    expect(answers).toEqual([])
    machine.apply([left])
    await until(() => answers.length === 1)
    expect(answers[0]).toMatchObject({ _tag: "Refused", error: { _tag: "TopicExists" } })
  })

  it("does not refuse where it leads no more: somebody else may have made the refusal wrong", async () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [])
    const lost = offer({ machine }, command("DeleteTopic", { tenant, name: "a" }))
    await until(() => raft.barriers.length === 1)
    raft.lose()
    await until(() => lost.answers.length === 1)
    expect(lost.answers[0]).toMatchObject({ _tag: "NotLeader" })

    const ended = offer({ machine }, command("DeleteTopic", { tenant, name: "a" }))
    await until(() => raft.barriers.length === 1)
    raft.statusNow = { ...status, role: "follower", leaderId: 2, term: 3 }
    machine.leadershipEnded(2)
    raft.confirm()
    await until(() => ended.answers.length === 1)
    expect(ended.answers[0]).toEqual({ _tag: "NotLeader", leaderId: 2, term: 3, address: "two:1" })
  })

  it("that is lost leaves the outcome of what is in its log open, and says that the rest was not done", async () => {
    const { machine, raft } = machineWith({ entriesUnderWayMax: 1 })
    machine.leadershipBegan(2, [])
    const first = offer({ machine }, topic("a"))
    await until(() => raft.proposed.length === 1)
    const second = offer({ machine }, topic("b"))
    machine.leadershipEnded(2)
    expect(first.answers).toEqual([{ _tag: "Lost" }])
    expect(second.answers).toMatchObject([{ _tag: "NotLeader" }])
    // Another leader's entry took the place.
    machine.apply([entryOf(10, 3, [topicCreated("other")])])
    expect([...machine.view.image().topicsByName.keys()]).toEqual(["default/other"])
    expect(first.answers).toHaveLength(1)
    // Leading again it decides on that, and not on what was lost.
    machine.leadershipBegan(4, [])
    const again = offer({ machine }, topic("a"), { attempt: 2 })
    await until(() => raft.proposed.length === 2)
    machine.apply([raft.proposed[1] as CommandEntry])
    expect(again.answers).toMatchObject([{ _tag: "Done" }])
  })

  it("that is overtaken before it is told so answers what was displaced, and refuses nothing that stands on it", async () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [])
    const displaced = offer({ machine }, topic("a"))
    await until(() => raft.proposed.length === 1)
    const exists = offer({ machine }, topic("a"))
    await until(() => raft.barriers.length === 1)
    raft.confirm()
    await settle()
    const waits = offer({ machine }, topic("b"))
    await until(() => raft.proposed.length === 2)
    machine.apply([entryOf(10, 3, [topicCreated("other")])])
    expect([...machine.view.image().topicsByName.keys()]).toEqual(["default/other"])
    await until(() => exists.answers.length === 1)
    expect(displaced.answers).toEqual([{ _tag: "Lost" }])
    expect(waits.answers).toEqual([{ _tag: "Lost" }])
    expect(exists.answers).toMatchObject([{ _tag: "NotLeader" }])
    expect(machine.leadsInTerm).toBe(0)
    machine.leadershipEnded(2)
    expect([displaced, waits, exists].map(({ answers }) => answers.length)).toEqual([1, 1, 1])
  })

  it("gathers what comes while entries are under way, within bounds", async () => {
    const { machine, raft } = machineWith({ entriesUnderWayMax: 2, commandsWaitingMax: 3, commandsPerEntryMax: 2 })
    machine.leadershipBegan(2, [])
    const early = []
    for (const name of ["a", "b"]) {
      early.push(offer({ machine }, topic(name)))
      await until(() => raft.proposed.length === early.length)
    }
    const waiting = ["c", "d", "e"].map((name) => offer({ machine }, topic(name)))
    const refused = offer({ machine }, topic("f"))
    expect(refused.answers).toMatchObject([{ _tag: "Unavailable", error: { reason: "overloaded" } }])
    await settle()
    expect(raft.proposed).toHaveLength(2)
    machine.apply(raft.proposed)
    await until(() => raft.proposed.length === 4)
    machine.apply(raft.proposed.slice(2))
    expect(machine.view.image().topicsByName.size).toBe(5)
    for (const { answers } of [...early, ...waiting]) expect(answers).toMatchObject([{ _tag: "Done" }])
  })

  it("forgets a decision that Raft does not take", async () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [])
    raft.refuses = "overloaded"
    const first = offer({ machine }, topic("a"))
    await until(() => first.answers.length === 1)
    expect(first.answers[0]).toMatchObject({ _tag: "Unavailable", error: { reason: "overloaded" } })
    raft.refuses = "busy"
    const second = offer({ machine }, topic("a"))
    await until(() => second.answers.length === 1)
    expect(second.answers[0]).toMatchObject({ _tag: "NotLeader" })
    raft.refuses = undefined
    const third = offer({ machine }, topic("a"))
    await until(() => raft.proposed.length === 1)
    machine.apply(raft.proposed)
    expect(third.answers).toMatchObject([{ _tag: "Done" }])
  })

  it("decides nothing in another term than it was asked for, nor an earlier try after a later one", async () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [])
    expect(offer({ machine }, topic("a"), { term: 1 }).answers).toMatchObject([{ _tag: "NotLeader", leaderId: 1 }])
    const wish = topic("a")
    const later = offer({ machine }, wish, { attempt: 3 })
    expect(offer({ machine }, wish, { attempt: 2 }).answers).toEqual([{ _tag: "Lost" }])
    await until(() => raft.proposed.length === 1)
    machine.apply(raft.proposed)
    expect(later.answers).toMatchObject([{ _tag: "Done" }])
    const repeated = offer({ machine }, wish, { attempt: 4 })
    await until(() => raft.barriers.length === 1)
    raft.confirm()
    await until(() => repeated.answers.length === 1)
    expect(repeated.answers).toEqual(later.answers)
  })

  it("keeps nobody waiting beyond his time", async () => {
    const { machine, raft } = machineWith({ entriesUnderWayMax: 1 })
    machine.leadershipBegan(2, [])
    const proposed = offer({ machine }, topic("a"), { deadlineMs: 1 })
    await until(() => raft.proposed.length === 1 || proposed.answers.length === 1)
    const waiting = offer({ machine }, topic("b"), { deadlineMs: 1 })
    const takenBack = offer({ machine }, topic("c"))
    takenBack.takeBack()
    await until(() => proposed.answers.length === 1 && waiting.answers.length === 1)
    expect(waiting.answers[0]).toMatchObject({ _tag: "Unavailable", error: { reason: "overloaded" } })
    machine.apply(raft.proposed)
    await settle()
    expect(proposed.answers).toHaveLength(1)
    expect(takenBack.answers).toEqual([])
  })

  it("keeps nobody waiting beyond his time for a majority that does not confirm it either", async () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [])
    const refused = offer({ machine }, command("DeleteTopic", { tenant, name: "a" }), { deadlineMs: performance.now() + 20 })
    await until(() => raft.barriers.length === 1)
    await until(() => refused.answers.length === 1)
    expect(refused.answers[0]).toMatchObject({ _tag: "Unavailable", error: { reason: "timeout" } })
    raft.confirm()
    await settle()
    expect(refused.answers).toHaveLength(1)
  })
})

describe("a member", () => {
  it("answers when the node stops, however far a command got", async () => {
    const wishes = { refused: command("DeleteTopic", { tenant, name: "a" }), made: topic("a") }
    for (const [name, wish] of Object.entries(wishes)) {
      for (let steps = 0; steps < 12; steps++) {
        const { machine } = machineWith()
        machine.leadershipBegan(2, [])
        await settle()
        const { answers } = offer({ machine }, wish)
        for (let step = 0; step < steps; step++) await Promise.resolve()
        await Effect.runPromise(Scope.close(scopes.pop() as Scope.CloseableScope, Exit.void))
        expect([name, steps, answers.length]).toEqual([name, steps, 1])
        expect(offer({ machine }, wish).answers).toMatchObject([{ _tag: "Unavailable", error: { reason: "closed" } }])
      }
    }
  })

  it("that does not lead says who does", () => {
    const { machine, raft } = machineWith()
    raft.statusNow = { ...status, role: "follower", leaderId: 2, term: 5 }
    expect(offer({ machine }, topic("a"), { term: 5 }).answers).toEqual([
      { _tag: "NotLeader", leaderId: 2, term: 5, address: "two:1" }
    ])
  })

  it("fences itself on an event it does not know, loudly, and skips nothing", async () => {
    const { machine, raft, complaints } = machineWith()
    const newer = { ...entryOf(2, 1, []), data: entryData(['{"_tag":"TopicCreated","_version":7}']) }
    const before = machine.view.image()
    machine.apply([newer, entryOf(3, 1, [topicCreated("a")])])
    expect(machine.view.image()).toBe(before)
    expect(raft.fencedWith).toContain("version 7 of TopicCreated is not known here, upgrade this node")
    expect(complaints.join()).toContain("takes no more part")
    machine.apply([entryOf(4, 1, [topicCreated("a")])])
    expect(machine.view.image()).toBe(before)
    expect(offer({ machine }, topic("b")).answers).toMatchObject([{ _tag: "Unavailable", error: { reason: "fenced" } }])
    const shown = await Effect.runPromise(Effect.either(machine.view.whenShown(before.version + 1)))
    expect(shown).toMatchObject({ left: { reason: "fenced" } })
  })

  it("fences itself where such an event waits in its log as it is elected", () => {
    const { machine, raft } = machineWith()
    machine.leadershipBegan(2, [{ ...entryOf(2, 1, []), data: entryData(["{}"]) }])
    expect(raft.fencedWith).toContain("entry 2")
    expect(machine.leadsInTerm).toBe(0)
  })

  it("fences itself on an event that cannot be, and shows what came before it", () => {
    const { machine, raft } = machineWith()
    machine.apply([entryOf(2, 1, [topicCreated("a")]), entryOf(3, 1, [{ _tag: "NodeUnfenced", nodeId: 9 }])])
    expect(machine.view.image().topicsByName.size).toBe(1)
    expect(raft.fencedWith).toContain("node 9, which is not there")
  })

  it("has the same image and chain from a snapshot as from the log", async () => {
    const { machine } = machineWith()
    machine.apply([entryOf(2, 1, [topicCreated("a")]), entryOf(5, 2, [topicCreated("b")])])
    const chunks = await Effect.runPromise(machine.snapshot(50))
    const { machine: other, raft } = machineWith()
    const told: Array<number> = []
    other.view.onChange((delta) => told.push(delta.topics.added.size))
    expect(await Effect.runPromise(Effect.either(other.restore(4, chunks)))).toMatchObject({
      left: { message: expect.stringContaining("holds what was applied up to 5") }
    })
    await Effect.runPromise(other.restore(6, chunks))
    expect(told).toEqual([2])
    expect(other.replica.point).toEqual(machine.replica.point)
    for (const one of [machine, other]) one.apply([entryOf(8, 2, [topicCreated("c")])])
    expect(other.replica.point).toEqual(machine.replica.point)
    expect(other.view.image().topicsByName.size).toBe(3)
    expect(await Effect.runPromise(Effect.either(other.restore(9, chunks.slice(1))))).toMatchObject({
      left: { message: expect.stringContaining("cannot be used") }
    })
    expect(raft.fencedWith).toBeUndefined()
  })

  it("takes a snapshot of the moment it is asked for one", async () => {
    const { machine } = machineWith()
    const taking = machine.snapshot(1 << 20)
    machine.apply([entryOf(2, 1, [topicCreated("late")])])
    expect(Buffer.concat(await Effect.runPromise(taking)).toString()).not.toContain("late")
  })
})

/** What a member answers to commands that other nodes pass on, and to changes of the membership. */
import type { FollowerStatus, RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import { RaftUnavailable } from "@effectmq/raft/RaftUnavailable"
import { metadataCommandCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import type { ChangeOfMembership, SubmitOutcome, SubmittedCommand } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Replica } from "../src/core/Replica.js"
import { ImageView } from "../src/internal/ImageView.js"
import * as MemberPeer from "../src/internal/MemberPeer.js"
import { doneWith, type Offer, unavailable } from "../src/internal/Outcomes.js"
import type { MetadataMachine } from "../src/MetadataMachine.js"
import { command, tenant } from "./commands.js"
import { memberOf } from "./support/MemoryCluster.js"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }))
afterEach(() => void vi.useRealTimers())

const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** Node 1, which leads 1, 2 and 3 while 4 learns. */
const leading = {
  nodeId: 1,
  role: "leader",
  leaderId: 1,
  lastIndex: 1_000,
  membership: { voters: [1, 2, 3], outgoingVoters: [], learners: [4], members: [1, 2, 3, 4].map(memberOf) },
  followers: []
} as unknown as RaftStatus

const memberWith = (
  more: Partial<RaftStatus> = {},
  refused?: (becomes: (now: Partial<RaftStatus>) => void) => RaftUnavailable
) => {
  const status = { ...leading, ...more }
  const becomes = (now: Partial<RaftStatus>) => void Object.assign(status, now)
  const changes: Array<ChangeOfMembership> = []
  const transfers: Array<number> = []
  const offers: Array<Offer & { readonly term: number }> = []
  let takenBack = 0
  const raft = {
    storeId: "a",
    status: () => status,
    changeMembership: (change: ChangeOfMembership) =>
      Effect.suspend(() => {
        changes.push(change)
        return refused === undefined ? Effect.void : Effect.fail(refused(becomes))
      }),
    transferLeadership: (nodeId: number) => Effect.sync(() => transfers.push(nodeId)),
    readBarrier: Effect.never,
    takeSnapshot: Effect.never
  } as unknown as RaftNodeService
  const machine = {
    replica: new Replica(),
    view: new ImageView(),
    offer: (term: number, offer: Offer) => {
      offers.push({ ...offer, term })
      return () => void takenBack++
    }
  } as unknown as MetadataMachine
  const peer = MemberPeer.make({ raft, machine } as MemberPeer.MemberPeerParts)
  return { becomes, changes, offers, peer, takenBack: () => takenBack, transfers }
}

const done = (version: number) => doneWith({ version } as unknown as MetadataReply)
const submitted = (name: string, attempt = 1): SubmittedCommand => ({
  line: metadataCommandCodec.encode(command("CreateTopic", { tenant, name })),
  basisVersion: 3,
  attempt
})

/** Of a call with commands, and what it answered so far. */
const call = async ({ peer }: ReturnType<typeof memberWith>, commands: ReadonlyArray<SubmittedCommand>, waitMsMax = 1_000) => {
  const fiber = Effect.runFork(peer.submit({ term: 7, commands, waitMsMax }))
  await passes(0)
  return {
    answered: async () => {
      await passes(0)
      return fiber.unsafePoll()?.pipe(Effect.runSync)
    },
    stop: () => Effect.runPromise(Fiber.interrupt(fiber))
  }
}

describe("a call with commands", () => {
  it("is answered when all of its commands are, in their order", async () => {
    const member = memberWith()
    const { answered } = await call(member, [submitted("a"), submitted("b", 2)])
    expect(member.offers).toMatchObject([
      { term: 7, basisVersion: 3, attempt: 1, command: { name: "a" } },
      { term: 7, basisVersion: 3, attempt: 2, command: { name: "b" } }
    ])
    member.offers[1]?.answer(done(2))
    expect(await answered()).toBeUndefined()
    member.offers[0]?.answer(done(1))
    expect(await answered()).toEqual([done(1), done(2)])
  })

  it("is answered at once where it has none, and what cannot be read is refused beside the others", async () => {
    expect(await (await call(memberWith(), [])).answered()).toEqual([])
    const member = memberWith()
    const { answered } = await call(member, [{ line: "no command", basisVersion: 0, attempt: 1 }, submitted("a")])
    member.offers[0]?.answer(done(1))
    expect(await answered()).toEqual([
      { _tag: "Refused", error: expect.objectContaining({ _tag: "InvalidField", field: "command", value: "no command" }) },
      done(1)
    ])
  })

  it("has no member of the cluster tell that it stops: for others that is a leader who is gone or lost", async () => {
    const outcomeOf = async (outcome: SubmitOutcome) => {
      const member = memberWith()
      const { answered } = await call(member, [submitted("a")])
      member.offers[0]?.answer(outcome)
      return (await answered())?.[0]
    }
    expect(await outcomeOf(unavailable("closed", ""))).toEqual({ _tag: "NotLeader", leaderId: 0, term: 0 })
    expect(await outcomeOf(unavailable("fenced", ""))).toEqual({ _tag: "Lost" })
    expect(await outcomeOf(unavailable("overloaded", "full"))).toMatchObject({ _tag: "Unavailable" })
  })

  it("takes its commands back where nobody waits for it any more", async () => {
    const member = memberWith()
    const { stop } = await call(member, [submitted("a"), submitted("b")])
    await stop()
    expect(member.takenBack()).toBe(2)
  })

  it("keeps them for as long as its caller likes to wait, and for a minute at most", async () => {
    const member = memberWith()
    for (const waitMsMax of [5, 60_000, 60_001]) await call(member, [submitted("a")], waitMsMax)
    const now = Math.floor(performance.now())
    expect(member.offers.map(({ deadlineMs }) => deadlineMs - now)).toEqual([5, 60_000, 60_000])
  })
})

/** What became of a change after so long, and which changes Raft was asked for. */
const changed = async (
  member: ReturnType<typeof memberWith>,
  change: ChangeOfMembership,
  { waitMsMax = 0, afterMs = 0 }: { readonly waitMsMax?: number; readonly afterMs?: number } = {}
) => {
  const fiber = Effect.runFork(Effect.either(member.peer.changeMembership({ change, waitMsMax })))
  await passes(afterMs)
  const outcome = fiber.unsafePoll()?.pipe(Effect.runSync)
  await Effect.runPromise(Fiber.interrupt(fiber))
  const error = outcome === undefined ? "waits" : Either.match(outcome, { onLeft: (left) => left, onRight: () => undefined })
  return { error, asked: member.changes.length }
}
const learner = (matchIndex: number, state: FollowerStatus["state"] = "replicate"): FollowerStatus => ({
  nodeId: 4,
  matchIndex,
  silentMs: 0,
  state
})
const promote = { _tag: "Promote", nodeId: 4 } as const

describe("a change of the membership", () => {
  it("is made by the leader alone", async () => {
    const follower = memberWith({ role: "follower", leaderId: 2 })
    const changes: ReadonlyArray<ChangeOfMembership> = [
      { _tag: "AddLearner", member: memberOf(5) },
      { _tag: "AddLearner", member: memberOf(4) },
      { _tag: "Promote", nodeId: 4 },
      { _tag: "Remove", nodeId: 4 },
      { _tag: "SetAddress", member: { nodeId: 2, address: "moved:1" } }
    ]
    for (const change of changes) {
      expect(await changed(follower, change)).toMatchObject({ error: { reason: "no-leader" }, asked: 0 })
    }
    const toTwo = follower.peer.transferLeadership({ toNodeId: 3 })
    expect(await Effect.runPromise(Effect.flip(toTwo))).toMatchObject({
      reason: "no-leader",
      message: expect.stringMatching(/2 leads/)
    })
    const leader = memberWith()
    await Effect.runPromise(leader.peer.transferLeadership({ toNodeId: 1 }))
    expect(leader.transfers).toEqual([])
    await Effect.runPromise(leader.peer.transferLeadership({ toNodeId: 3 }))
    expect(leader.transfers).toEqual([3])
  })

  it("is not made again where it is made already, but where it is not finished", async () => {
    const made: ReadonlyArray<ChangeOfMembership> = [
      { _tag: "AddLearner", member: memberOf(4) },
      { _tag: "Promote", nodeId: 3 },
      { _tag: "Remove", nodeId: 9 },
      { _tag: "SetAddress", member: memberOf(2) }
    ]
    for (const change of made) expect(await changed(memberWith(), change)).toEqual({ error: undefined, asked: 0 })
    const others: ReadonlyArray<ChangeOfMembership> = [
      { _tag: "AddLearner", member: memberOf(3) },
      { _tag: "AddLearner", member: { nodeId: 4, address: "moved:1" } },
      { _tag: "Remove", nodeId: 4 },
      { _tag: "SetAddress", member: { nodeId: 2, address: "moved:1" } }
    ]
    for (const change of others) expect(await changed(memberWith(), change)).toEqual({ error: undefined, asked: 1 })
    const joint = { ...leading.membership, outgoingVoters: [1, 2] }
    expect(await changed(memberWith({ membership: joint }), { _tag: "Remove", nodeId: 9 })).toMatchObject({ asked: 1 })
  })

  it("is made where it is refused since another operator made it a moment before", async () => {
    const invalid = new RaftUnavailable({ reason: "invalid", message: "node 5 is a member already", leaderId: 1 })
    const add: ChangeOfMembership = { _tag: "AddLearner", member: memberOf(5) }
    const withFive = { ...leading.membership, learners: [4, 5], members: [1, 2, 3, 4, 5].map(memberOf) }
    const outrun = memberWith({}, (becomes) => {
      becomes({ membership: withFive })
      return invalid
    })
    expect(await changed(outrun, add)).toEqual({ error: undefined, asked: 1 })
    const refused = memberWith({}, () => invalid)
    expect(await changed(refused, add)).toMatchObject({ error: { _tag: "InvalidMembership" }, asked: 1 })
  })

  it("that takes out the last voter is for Raft to refuse", async () => {
    const alone = { voters: [1], outgoingVoters: [], learners: [], members: [memberOf(1)] }
    expect(await changed(memberWith({ membership: alone }), { _tag: "Remove", nodeId: 1 })).toMatchObject({ asked: 1 })
  })

  it("that promotes a learner waits until that has all but a hundred entries", async () => {
    const atOnce = memberWith({ followers: [learner(900)] })
    expect(await changed(atOnce, promote, { waitMsMax: 5_000 })).toEqual({ error: undefined, asked: 1 })
    for (const far of [learner(899), learner(1_000, "probe"), learner(1_000, "snapshot")]) {
      const member = memberWith({ followers: [far] })
      expect(await changed(member, promote, { waitMsMax: 5_000, afterMs: 4_000 })).toEqual({ error: "waits", asked: 0 })
      expect(await changed(member, promote, { waitMsMax: 5_000, afterMs: 6_000 })).toMatchObject({
        error: { reason: "timeout" },
        asked: 0
      })
    }
  })

  it("that waits for a learner ends where this node leads no more, or that is no learner any more", async () => {
    const outcomeWhen = async (now: Partial<RaftStatus>) => {
      const member = memberWith({ followers: [learner(0)] })
      setTimeout(() => member.becomes(now), 1_000)
      return changed(member, promote, { waitMsMax: 5_000, afterMs: 2_000 })
    }
    expect(await outcomeWhen({ role: "follower", leaderId: 2 })).toMatchObject({ error: { reason: "no-leader" }, asked: 0 })
    const without = { ...leading.membership, learners: [] }
    const refused = (reason: string) => ({ error: { _tag: "InvalidMembership", reason }, asked: 0 })
    expect(await outcomeWhen({ membership: without })).toMatchObject(refused("it is no learner"))
    // Another operator did it.
    const promoted = { ...without, voters: [...leading.membership.voters, ...leading.membership.learners] }
    expect(await outcomeWhen({ membership: promoted })).toMatchObject(refused("it votes already"))
    expect(await outcomeWhen({ followers: [learner(1_000)] })).toEqual({ error: undefined, asked: 1 })
  })

  it("waits for a learner for a minute at most", async () => {
    const waitMsMax = 1_000_000
    const member = memberWith({ followers: [learner(0)] })
    expect(await changed(member, promote, { waitMsMax, afterMs: 59_900 })).toMatchObject({ error: "waits" })
    expect(await changed(member, promote, { waitMsMax, afterMs: 60_100 })).toMatchObject({ error: { reason: "timeout" } })
  })
})

it("a node that cannot be confirmed as a member of a majority says who it is all the same, in half a second", async () => {
  const fiber = Effect.runFork(memberWith().peer.identify({ nodeId: 2 }))
  await passes(600)
  expect(fiber.unsafePoll()?.pipe(Effect.runSync)).toMatchObject({ nodeId: 1, storeId: "a", isConfirmed: false })
})

it("a node tells of its hash where it knows it, and that it may be old where it knows no leader", async () => {
  const { peer } = memberWith()
  expect(await Effect.runPromise(peer.heartbeat({ nodeId: 4, index: 0 }))).toMatchObject({ leaderId: 1, hash: "00".repeat(32) })
  expect(await Effect.runPromise(peer.heartbeat({ nodeId: 4, index: 7 }))).not.toHaveProperty("hash")
  expect(MemberPeer.isStale(leading)).toBe(false)
  expect(MemberPeer.isStale({ ...leading, leaderId: 0 })).toBe(true)
})

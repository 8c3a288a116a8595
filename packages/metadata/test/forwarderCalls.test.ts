/** What is passed on to the leader in one call, and what becomes of a command with each end that a call can come to. */
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type ClusterPeersService, type MetadataPeer, PeerUnavailable } from "../src/ClusterPeers.js"
import { callsUnderWayMax, commandsPerCallMax, Forwarder, lengthPerCallMax, returnMs } from "../src/internal/Forwarder.js"
import type { Leader, Leaders } from "../src/internal/Leaders.js"
import { doneWith } from "../src/internal/Outcomes.js"
import { command, tenant } from "./commands.js"
import { memberOf } from "./support/MemoryCluster.js"

type Request = Parameters<MetadataPeer["submit"]>[0]

interface Call {
  readonly nodeId: number
  readonly request: Request
  readonly ends: (exit: Exit.Exit<ReadonlyArray<SubmitOutcome>, PeerUnavailable>) => void
}

const done = (topicId: number) => doneWith({ version: 1, topicId } as unknown as MetadataReply)
const leaderAt = (nodeId: number, term: number): Leader => ({ member: memberOf(nodeId), term })
const first = leaderAt(2, 7)

let scope: Scope.CloseableScope
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  scope = Effect.runSync(Scope.make())
})
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  vi.useRealTimers()
})

const setup = () => {
  const calls: Array<Call> = []
  const silent: Array<Leader> = []
  const other = Effect.runSync(Deferred.make<Leader>())
  const leaders: Leaders = {
    now: () => first,
    heard: () => undefined,
    silent: (leader) => void silent.push(leader),
    after: () => Deferred.await(other)
  }
  const peers = {
    at: ({ nodeId }: { readonly nodeId: number }) => ({
      submit: (request: Request) =>
        Effect.async<ReadonlyArray<SubmitOutcome>, PeerUnavailable>((resume) => {
          calls.push({ nodeId, request, ends: resume })
        })
    })
  } as unknown as ClusterPeersService
  const forwarder = new Forwarder(peers, leaders)
  const offer = ({ leader = first, waitMs = 60_000, name = "a", attempt = 1 } = {}) => {
    const answers: Array<SubmitOutcome> = []
    const one = {
      command: command("CreateTopic", { tenant, name, commandId: "c" }),
      basisVersion: 0,
      attempt,
      deadlineMs: performance.now() + waitMs
    }
    const takeBack = forwarder.offer(leader, one, (outcome) => answers.push(outcome))
    return { answers, takeBack }
  }
  const run = () => {
    Effect.runFork(Effect.forkIn(forwarder.run(scope), scope))
    return passes(0)
  }
  const anotherLeads = () => Deferred.unsafeDone(other, Effect.succeed(leaderAt(3, 8)))
  return { anotherLeads, calls, forwarder, offer, run, silent }
}

const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const tags = (offered: { readonly answers: ReadonlyArray<SubmitOutcome> }) => offered.answers.map(({ _tag }) => _tag)
const broken = (reason: PeerUnavailable["reason"]) => Exit.fail(new PeerUnavailable({ reason, message: "gone" }))

describe("a call", () => {
  it(`carries ${commandsPerCallMax} commands and no more`, async () => {
    const { calls, offer, run } = setup()
    for (let count = 0; count < commandsPerCallMax; count++) offer()
    await run()
    expect(calls.map(({ request }) => request.commands.length)).toEqual([commandsPerCallMax])
    const more = setup()
    for (let count = 0; count <= commandsPerCallMax; count++) more.offer()
    await more.run()
    expect(more.calls.map(({ request }) => request.commands.length)).toEqual([commandsPerCallMax, 1])
  })

  it(`takes no further command once it has ${lengthPerCallMax} characters`, async () => {
    const probe = setup()
    probe.offer({ name: "" })
    await probe.run()
    const empty = probe.calls[0]?.request.commands[0]?.line.length ?? 0
    const sizes = async (length: number) => {
      const { calls, offer, run } = setup()
      offer({ name: "x".repeat(length - empty) })
      offer()
      await run()
      return calls.map(({ request }) => request.commands.length)
    }
    expect(await sizes(lengthPerCallMax - 1)).toEqual([2])
    expect(await sizes(lengthPerCallMax)).toEqual([1, 1])
  })

  it("goes to one leader alone, in the term in which it was known to lead, and in the order of the offers", async () => {
    const { calls, offer, run } = setup()
    offer({ attempt: 1 })
    offer({ attempt: 2 })
    offer({ leader: leaderAt(3, 8), attempt: 3 })
    offer({ leader: leaderAt(3, 9), attempt: 4 })
    await run()
    expect(calls.map(({ nodeId, request }) => [nodeId, request.term, request.commands.map((one) => one.attempt)])).toEqual([
      [2, 7, [1, 2]],
      [3, 8, [3]],
      [3, 9, [4]]
    ])
  })

  it("may take as long as the most patient of its commands likes to wait, and not less than no time", async () => {
    const { calls, offer, run } = setup()
    offer({ waitMs: 20 })
    offer({ waitMs: 3_000 })
    offer({ leader: leaderAt(3, 8), waitMs: -5 })
    await run()
    expect(calls[0]?.request.waitMsMax).toBeGreaterThan(2_900)
    expect(calls[1]?.request.waitMsMax).toBe(0)
  })

  it(`waits while ${callsUnderWayMax} are under way, and goes when one of them ends`, async () => {
    const { calls, offer, run } = setup()
    await run()
    for (let count = 0; count <= callsUnderWayMax; count++) {
      offer({ attempt: count + 1 })
      await passes(0)
    }
    expect(calls).toHaveLength(callsUnderWayMax)
    calls[0]?.ends(Exit.succeed([done(1)]))
    await passes(0)
    expect(calls.at(-1)?.request.commands).toMatchObject([{ attempt: callsUnderWayMax + 1 }])
  })

  it("without an answer ends when its time is over, and makes room for the next one", async () => {
    const { calls, offer, run, silent } = setup()
    await run()
    const lost = []
    for (let count = 0; count < callsUnderWayMax; count++) {
      lost.push(offer({ waitMs: 1_000 }))
      await passes(0)
    }
    const next = offer()
    await passes(1_000 + returnMs + 200)
    for (const one of lost) expect(tags(one)).toEqual(["Lost"])
    expect(silent).toContain(first)
    expect(calls).toHaveLength(callsUnderWayMax + 1)
    expect(tags(next)).toEqual([])
  })
})

describe("a command", () => {
  it("gets the outcome in its own place, and is lost where there is none", async () => {
    const { calls, offer, run } = setup()
    const offered = [offer(), offer(), offer()]
    await run()
    calls[0]?.ends(Exit.succeed([done(1), done(2)]))
    await passes(0)
    expect(offered.map(({ answers }) => answers)).toEqual([[done(1)], [done(2)], [{ _tag: "Lost" }]])
  })

  it("was not made where the leader was not reached, and may have been made where the call broke", async () => {
    const { calls, offer, run, silent } = setup()
    const unreached = offer()
    await run()
    calls[0]?.ends(broken("unreachable"))
    await passes(0)
    expect(unreached.answers).toEqual([{ _tag: "NotLeader", leaderId: 0, term: 0 }])
    expect(silent).toEqual([])
    const cut = offer()
    await passes(0)
    calls[1]?.ends(broken("broken"))
    await passes(0)
    expect(tags(cut)).toEqual(["Lost"])
    expect(silent).toEqual([first])
  })

  it("may have been made where the call has a defect, and the next one goes on", async () => {
    const { calls, offer, run } = setup()
    const one = offer()
    await run()
    calls[0]?.ends(Exit.die("a defect"))
    await passes(0)
    expect(tags(one)).toEqual(["Lost"])
    const next = offer()
    await passes(0)
    calls[1]?.ends(Exit.succeed([done(1)]))
    await passes(0)
    expect(next.answers).toEqual([done(1)])
  })

  it("may have been made where another one leads meanwhile, which is not for the silence of the first", async () => {
    const { anotherLeads, offer, run, silent } = setup()
    const one = offer()
    await run()
    anotherLeads()
    await passes(0)
    expect(tags(one)).toEqual(["Lost"])
    expect(silent).toEqual([])
  })

  it("is answered once, although the answer to its call comes after its time", async () => {
    const { calls, offer, run } = setup()
    const hasty = offer({ waitMs: 100 })
    const patient = offer()
    await run()
    await passes(100 + returnMs + 200)
    expect(tags(hasty)).toEqual(["Lost"])
    expect(tags(patient)).toEqual([])
    calls[0]?.ends(Exit.succeed([done(1), done(2)]))
    await passes(0)
    expect(tags(hasty)).toEqual(["Lost"])
    expect(patient.answers).toEqual([done(2)])
  })

  it("is not lost while the answer that the leader gave in time may be on its way", async () => {
    const { calls, offer, run } = setup()
    const one = offer({ waitMs: 1_000 })
    await run()
    await passes(1_000 + returnMs - 100)
    calls[0]?.ends(Exit.succeed([done(1)]))
    await passes(0)
    expect(one.answers).toEqual([done(1)])
  })

  it("that was answered as not made is not sent any more", async () => {
    const { calls, offer, run } = setup()
    await run()
    for (let count = 0; count < callsUnderWayMax; count++) {
      offer()
      await passes(0)
    }
    const late = offer({ waitMs: 100 })
    await passes(300)
    expect(tags(late)).toEqual(["NotLeader"])
    calls[0]?.ends(Exit.succeed([done(1)]))
    await passes(0)
    expect(calls).toHaveLength(callsUnderWayMax)
  })

  it("is taken back while it waits, and no other one with it", async () => {
    const { calls, offer, run } = setup()
    const back = offer({ attempt: 1 })
    offer({ attempt: 2 })
    back.takeBack()
    await run()
    expect(calls[0]?.request.commands).toMatchObject([{ attempt: 2 }])
    for (let count = 1; count < callsUnderWayMax; count++) {
      offer()
      await passes(0)
    }
    offer({ attempt: 3 })
    back.takeBack()
    calls[0]?.ends(Exit.succeed([done(1)]))
    await passes(0)
    expect(calls.at(-1)?.request.commands).toMatchObject([{ attempt: 3 }])
  })

  it("is answered when the node stops, however far it got, and where it comes later", async () => {
    for (let steps = 0; steps < 16; steps++) {
      const node = Effect.runSync(Scope.make())
      const { forwarder, offer } = setup()
      Effect.runFork(Effect.forkIn(forwarder.run(node), node))
      await passes(0)
      const offered = offer()
      for (let step = 0; step < steps; step++) await Promise.resolve()
      await Effect.runPromise(Scope.close(node, Exit.void))
      await passes(0)
      expect([steps, ...tags(offered)]).toEqual([steps, expect.stringMatching(/^(NotLeader|Lost)$/)])
      expect(tags(offer())).toEqual(["NotLeader"])
    }
  })
})

/** What any node does to have the cluster changed: whom it asks, how often, and when it gives up. */
import type { ClusterStatus } from "@effectmq/schemas/admin/Cluster"
import { InvalidMembership, type MetadataError, MetadataUnavailable, UnknownNode } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type ClusterPeersService, type MetadataPeer, PeerUnavailable } from "../src/ClusterPeers.js"
import type { ControllerService } from "../src/Controller.js"
import { emptyImage } from "../src/core/Image.js"
import { Replica } from "../src/core/Replica.js"
import { SnapshotReader } from "../src/core/SnapshotFormat.js"
import * as Control from "../src/internal/Control.js"
import { isOther, type Leader, type Leaders } from "../src/internal/Leaders.js"
import { notLeader, refusedBy } from "../src/internal/Outcomes.js"
import type { MetadataService } from "../src/Metadata.js"
import { memberOf } from "./support/MemoryCluster.js"

const running: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }))
afterEach(async () => {
  for (const fiber of running.splice(0)) await Effect.runPromise(Fiber.interrupt(fiber))
  vi.useRealTimers()
})

const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const leaderAt = (nodeId: number, term: number): Leader => ({ member: memberOf(nodeId), term })

type Answer = Effect.Effect<void, MetadataError | PeerUnavailable>
interface Asked {
  readonly nodeId: number
  /** The change, or what else was asked for. */
  readonly what: string
  readonly waitMsMax?: number
}

/** Of node 1 in a cluster of 1, 2 and 3, whose other nodes the test plays. */
const setup = (first = leaderAt(2, 4)) => {
  const asked: Array<Asked> = []
  const submitted: Array<MetadataCommand> = []
  const told: Array<{ readonly nodeId: number; readonly term: number; readonly line: string }> = []
  const listeners = new Set<() => void>()
  let leader: Leader | undefined = first
  let synced = 0
  const played = {
    answer: (_: Asked): Answer => Effect.void,
    report: (_: number): Effect.Effect<{ role: string; term: number }, PeerUnavailable> => Effect.never,
    outcomes: (_: number): ReadonlyArray<SubmitOutcome> => [],
    unregister: Effect.void as Effect.Effect<void, MetadataError>,
    fault: undefined as MetadataUnavailable | undefined
  }
  const ask = (one: Asked): Answer => {
    if (asked.length > 1_000) throw new Error("it never pauses")
    asked.push(one)
    return played.answer(one)
  }
  const peerOf = (nodeId: number): MetadataPeer<never> =>
    ({
      changeMembership: ({ change, waitMsMax }: { readonly change: { readonly _tag: string }; readonly waitMsMax: number }) =>
        Effect.suspend(() => ask({ nodeId, what: change._tag, waitMsMax })),
      transferLeadership: () => Effect.suspend(() => ask({ nodeId, what: "transfer" })),
      report: Effect.suspend(() => Effect.zipRight(ask({ nodeId, what: "report" }), played.report(nodeId))),
      submit: ({ term, commands }: { readonly term: number; readonly commands: ReadonlyArray<{ readonly line: string }> }) =>
        Effect.sync(() => {
          told.push({ nodeId, term, line: commands[0]?.line ?? "" })
          return played.outcomes(nodeId)
        })
    }) as unknown as MetadataPeer<never>
  const leaders: Leaders = {
    now: () => leader,
    heard: () => undefined,
    silent: () => undefined,
    after: (than) =>
      Effect.async<Leader>((resume) => {
        const look = () => {
          if (isOther(leader, than)) resume(Effect.succeed(leader as Leader))
        }
        listeners.add(look)
        look()
        return Effect.sync(() => listeners.delete(look))
      })
  }
  const leads = (now: Leader | undefined) => {
    leader = now
    for (const listener of [...listeners]) listener()
  }
  const content = new Replica().content
  const control = Control.make({
    nodeId: 1,
    // The own node answers itself: over the network it is not there.
    local: peerOf(1),
    peers: {
      at: ({ nodeId }: Member) => (nodeId === 1 ? peerOf(-1) : peerOf(nodeId))
    } as unknown as ClusterPeersService,
    leaders,
    fault: () => played.fault,
    status: Effect.never as Effect.Effect<ClusterStatus>,
    isMember: (nodeId) => nodeId <= 3,
    members: () => [1, 2, 3].map(memberOf),
    metadata: { image: () => emptyImage, sync: Effect.sync(() => synced++) } as unknown as MetadataService,
    controller: {
      submit: (command: MetadataCommand) => {
        submitted.push(command)
        return played.unregister
      }
    } as unknown as ControllerService,
    content: () => content
  })
  return { asked, content, control, leads, played, submitted, synced: () => synced, told }
}

/** Begins it; answers what became of it so far. */
const begun = async (wish: Effect.Effect<void, MetadataError>) => {
  const fiber = Effect.runFork(Effect.either(wish))
  running.push(fiber)
  await passes(0)
  return async () => {
    await passes(0)
    const outcome = fiber.unsafePoll()?.pipe(Effect.runSync)
    return outcome === undefined ? "waits" : Either.match(outcome, { onLeft: (error) => error, onRight: () => "made" })
  }
}
const unavailable = (reason: MetadataUnavailable["reason"]) =>
  Effect.fail(new MetadataUnavailable({ reason, message: "not now" }))
const broken = (reason: PeerUnavailable["reason"]) => Effect.fail(new PeerUnavailable({ reason, message: "gone" }))

describe("the leader is asked", () => {
  it("wherever it is, by the node that leads itself too", async () => {
    const other = setup()
    expect(await (await begun(other.control.transferLeadership(3)))()).toBe("made")
    const own = setup(leaderAt(1, 4))
    expect(await (await begun(own.control.setAddress(memberOf(3))))()).toBe("made")
    expect([...other.asked, ...own.asked]).toMatchObject([
      { nodeId: 2, what: "transfer" },
      { nodeId: 1, what: "SetAddress" }
    ])
  })

  it.each([
    ["is not reached", broken("unreachable")],
    ["breaks off", broken("broken")],
    ["leads no more", unavailable("no-leader")],
    ["has another change under way", unavailable("busy")]
  ])("again after a pause where it %s", async (_, answer) => {
    const { asked, control, played } = setup()
    played.answer = () => (asked.length < 3 ? answer : Effect.void)
    const outcome = await begun(control.transferLeadership(3))
    await passes(50)
    expect(asked).toHaveLength(1)
    await passes(100)
    expect(asked).toHaveLength(2)
    await passes(100)
    expect(await outcome()).toBe("made")
  })

  it("once where it refuses, or cannot do it at all", async () => {
    const refusals: ReadonlyArray<MetadataError> = [
      new InvalidMembership({ nodeId: 3, reason: "no" }),
      new MetadataUnavailable({ reason: "timeout", message: "late" }),
      new MetadataUnavailable({ reason: "fenced", message: "over" })
    ]
    for (const refusal of refusals) {
      const { asked, control, played } = setup()
      played.answer = () => Effect.fail(refusal)
      expect(await (await begun(control.transferLeadership(3)))()).toEqual(refusal)
      expect(asked).toHaveLength(1)
    }
  })

  it("at once where another one leads meanwhile", async () => {
    const { asked, control, leads, played } = setup()
    played.answer = ({ nodeId }) => (nodeId === 2 ? Effect.never : Effect.void)
    const outcome = await begun(control.transferLeadership(3))
    expect(await outcome()).toBe("waits")
    leads(leaderAt(3, 5))
    expect(await outcome()).toBe("made")
    expect(asked.map(({ nodeId }) => nodeId)).toEqual([2, 3])
  })

  it("as soon as there is one", async () => {
    const { control, leads } = setup()
    leads(undefined)
    const outcome = await begun(control.transferLeadership(3))
    expect(await outcome()).toBe("waits")
    leads(leaderAt(3, 5))
    expect(await outcome()).toBe("made")
  })

  it("no more once this node takes part no more", async () => {
    const { asked, control, played } = setup()
    played.answer = () => broken("unreachable")
    const outcome = await begun(control.transferLeadership(3))
    played.fault = new MetadataUnavailable({ reason: "fenced", message: "it was taken out" })
    await passes(100)
    expect(await outcome()).toEqual(played.fault)
    expect(asked).toHaveLength(1)
  })

  it("for 15 seconds, and the last reason is told", async () => {
    const until15 = async (one: ReturnType<typeof setup>) => {
      const outcome = await begun(one.control.transferLeadership(3))
      await passes(14_800)
      expect(await outcome()).toBe("waits")
      await passes(300)
      return outcome()
    }
    const nobody = setup()
    nobody.leads(undefined)
    expect(await until15(nobody)).toMatchObject({ reason: "no-leader", message: "no leader is known" })
    const busy = setup()
    busy.played.answer = () => unavailable("busy")
    expect(await until15(busy)).toMatchObject({ reason: "busy", message: "not now" })
    const silent = setup()
    silent.played.answer = () => Effect.never
    expect(await until15(silent)).toMatchObject({ reason: "no-leader", message: expect.stringMatching(/does not answer/) })
    expect(silent.asked).toHaveLength(1)
  })
})

describe("a node that is added", () => {
  const add = { nodeId: 4, address: "node4:1" }

  it("learns, and gets a vote where it is to have one", async () => {
    const learner = setup()
    expect(await (await begun(learner.control.addNode({ ...add, voter: false })))()).toBe("made")
    expect(learner.asked.map(({ what }) => what)).toEqual(["AddLearner"])
    const voter = setup()
    expect(await (await begun(voter.control.addNode({ ...add, voter: true })))()).toBe("made")
    expect(voter.asked).toMatchObject([{ what: "AddLearner" }, { what: "Promote", waitMsMax: 20_000 }])
  })

  /** One that the leader waits for, for as long as it is asked to, and in vain before the given try. */
  const catchesUp = async (atTry: number) => {
    const { asked, control, played } = setup()
    const promotions = () => asked.filter(({ what }) => what === "Promote").map(({ waitMsMax }) => waitMsMax ?? 0)
    played.answer = ({ what, waitMsMax = 0 }) => {
      if (what !== "Promote" || promotions().length >= atTry) return Effect.void
      return Effect.zipRight(Effect.sleep(waitMsMax), unavailable("timeout"))
    }
    return { outcome: await begun(control.addNode({ ...add, voter: true })), promotions }
  }

  it("has a minute to catch up, in more than one call", async () => {
    const { outcome, promotions } = await catchesUp(3)
    await passes(39_900)
    expect(await outcome()).toBe("waits")
    await passes(500)
    expect(await outcome()).toBe("made")
    expect(promotions().slice(0, 2)).toEqual([20_000, 20_000])
    // So much less than is left that the leader can say why.
    expect(promotions()[2]).toBeLessThanOrEqual(18_000)
  })

  it("that does not is told to be a learner still", async () => {
    const { outcome } = await catchesUp(Number.POSITIVE_INFINITY)
    await passes(59_900)
    expect(await outcome()).toBe("waits")
    await passes(300)
    expect(await outcome()).toMatchObject({ reason: "timeout" })
  })
})

describe("a node that is taken out", () => {
  it("is off the list too, which it may be already where it had a part", async () => {
    const { asked, control, played, submitted } = setup()
    expect(await (await begun(control.removeNode(3)))()).toBe("made")
    expect(asked).toMatchObject([{ nodeId: 2, what: "Remove" }])
    expect(submitted).toMatchObject([{ _tag: "UnregisterNode", nodeId: 3 }])
    played.unregister = Effect.fail(new UnknownNode({ nodeId: 3 }))
    expect(await (await begun(control.removeNode(3)))()).toBe("made")
    expect(await (await begun(control.removeNode(9)))()).toMatchObject({ _tag: "UnknownNode" })
  })

  /** Node 1 takes itself out. */
  const itself = async (play: Partial<ReturnType<typeof setup>["played"]>) => {
    const one = setup()
    Object.assign(one.played, play)
    const outcome = await begun(one.control.removeNode(1))
    return { ...one, outcome, reports: () => one.asked.filter(({ what }) => what === "report").map(({ nodeId }) => nodeId) }
  }
  const leadsIn = (leaderId: number) => (nodeId: number) =>
    Effect.succeed({ role: nodeId === leaderId ? "leader" : "follower", term: 5 })

  it("by itself has the leader among those that stay take it off the list", async () => {
    const { outcome, reports, submitted, told } = await itself({
      report: leadsIn(3),
      outcomes: () => [{ _tag: "Done" } as SubmitOutcome]
    })
    expect(await outcome()).toBe("made")
    expect(reports()).toEqual([2, 3])
    expect(told).toMatchObject([{ nodeId: 3, term: 5, line: expect.stringMatching(/UnregisterNode/) }])
    expect(submitted).toEqual([])
    const refused = await itself({ report: leadsIn(2), outcomes: () => [refusedBy(new UnknownNode({ nodeId: 1 }))] })
    expect(await refused.outcome()).toBe("made")
  })

  it("by itself asks them again after a pause where none leads any more, and waits three seconds for each", async () => {
    let tries = 0
    const outcomes = (): ReadonlyArray<SubmitOutcome> => (++tries < 3 ? [notLeader(0, 0)] : [{ _tag: "Done" } as SubmitOutcome])
    const again = await itself({ report: leadsIn(3), outcomes })
    await passes(50)
    expect(again.told).toHaveLength(1)
    expect(await again.outcome()).toBe("waits")
    await passes(200)
    expect(again.told).toHaveLength(3)
    expect(await again.outcome()).toBe("made")
    const silent = await itself({
      report: (nodeId) => (nodeId === 2 ? Effect.never : Effect.succeed({ role: "leader", term: 5 })),
      outcomes: () => [{ _tag: "Done" } as SubmitOutcome]
    })
    await passes(2_900)
    expect(await silent.outcome()).toBe("waits")
    await passes(200)
    expect(await silent.outcome()).toBe("made")
  })

  it("by itself says that it may be on the list still where none leads for 15 seconds", async () => {
    const { outcome, reports } = await itself({ report: leadsIn(0) })
    await passes(14_900)
    expect(await outcome()).toBe("waits")
    await passes(300)
    expect(await outcome()).toMatchObject({ reason: "unknown", message: expect.stringMatching(/take it out once more/) })
    expect(reports().length).toBeLessThan(310)
  })
})

it("an export is of the metadata after a linearizable read", async () => {
  const { content, control, synced } = setup()
  const chunks = await Effect.runPromise(Stream.runCollect(control.exportSnapshot))
  expect(synced()).toBe(1)
  const reader = new SnapshotReader()
  for (const chunk of Chunk.toReadonlyArray(chunks)) for (const _ of reader.read(chunk));
  const { image, point } = Either.getOrThrow(reader.end())
  expect([image.version, point.index]).toEqual([content.image.version, content.point.index])
})

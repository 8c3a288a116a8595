/** How a change is tried until its outcome is known, and what whoever made it is told where that stays open. */
import { MetadataUnavailable, TopicExists } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { emptyImage } from "../src/core/Image.js"
import { Deadlines } from "../src/internal/Deadlines.js"
import type { Forwarder, Try } from "../src/internal/Forwarder.js"
import { ImageView } from "../src/internal/ImageView.js"
import type { Leader, Leaders } from "../src/internal/Leaders.js"
import { doneWith, leaderLost, notLeader, type Offer, refusedBy, unavailable } from "../src/internal/Outcomes.js"
import * as Submitter from "../src/internal/Submitter.js"
import type { MetadataMachine } from "../src/MetadataMachine.js"
import { command, tenant } from "./commands.js"
import { memberOf } from "./support/MemoryCluster.js"

const running: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }))
afterEach(async () => {
  for (const fiber of running.splice(0)) await Effect.runPromise(Fiber.interrupt(fiber))
  vi.useRealTimers()
})

const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const submitMsMax = 1_000
const commandsWaitingMax = 3
/** Longer than the pause between two tries. */
const pauseMs = 150
const done = doneWith({ version: 5 } as unknown as MetadataReply)

/** Of node 1, which has a Raft member; node 2 leads, unless the test says otherwise. */
const setup = () => {
  const tries: Array<Try & { readonly by: string; readonly answer: (outcome: SubmitOutcome) => void }> = []
  const heard: Array<unknown> = []
  let takenBack = 0
  const view = new ImageView()
  const node = {
    leadsInTerm: 0,
    leader: { member: memberOf(2), term: 4 } as Leader | undefined,
    fault: undefined as MetadataUnavailable | undefined,
    noSpace: undefined as MetadataUnavailable | undefined,
    spaceEnds: () => {}
  }
  const offered = (by: string, one: Try, answer: (outcome: SubmitOutcome) => void) => {
    if (tries.length > 1_000) throw new Error("it never pauses")
    tries.push({ ...one, by, answer })
    return () => void takenBack++
  }
  const machine = {
    get leadsInTerm() {
      return node.leadsInTerm
    },
    offer: (term: number, offer: Offer) => offered(`here in ${term}`, offer, offer.answer)
  } as unknown as MetadataMachine
  const forwarder = {
    offer: (leader: Leader, one: Try, answer: (outcome: SubmitOutcome) => void) =>
      offered(`node ${leader.member.nodeId} in ${leader.term}`, one, answer)
  } as unknown as Forwarder
  const leaders: Leaders = {
    now: () => node.leader,
    heard: (said) => void heard.push(said),
    silent: () => undefined,
    after: () => Effect.never
  }
  const controller = Submitter.make({
    nodeId: 1,
    view,
    machine,
    fault: () => node.fault,
    noSpace: {
      now: () => node.noSpace,
      onBegin: (listener) => {
        node.spaceEnds = listener
      }
    },
    leaders,
    forwarder,
    deadlines: new Deadlines((effect) => void running.push(Effect.runFork(effect))),
    options: { submitMsMax, commandsWaitingMax }
  })
  const submit = async () => {
    const fiber = Effect.runFork(Effect.either(controller.submit(command("CreateTopic", { tenant, name: "a" }))))
    running.push(fiber)
    await passes(0)
    const outcome = async () => {
      await passes(0)
      const found = fiber.unsafePoll()?.pipe(Effect.runSync)
      return found === undefined ? "waits" : Either.match(found, { onLeft: (error) => error, onRight: (reply) => reply })
    }
    return { outcome, stop: () => Effect.runPromise(Fiber.interrupt(fiber)) }
  }
  const shows = async (version: number) => {
    view.show({ before: view.image(), after: { ...emptyImage, version }, events: undefined })
    view.wake()
    await passes(0)
  }
  /** To the try that is under way. */
  const answers = async (outcome: SubmitOutcome, afterMs = 0) => {
    tries.at(-1)?.answer(outcome)
    await passes(afterMs)
  }
  return { answers, heard, node, shows, submit, takenBack: () => takenBack, tries, view }
}

describe("a change", () => {
  it("is made by the leader, and answered when this node shows it", async () => {
    const { answers, shows, submit, tries } = setup()
    const { outcome } = await submit()
    expect(tries).toMatchObject([{ by: "node 2 in 4", attempt: 1, basisVersion: 0 }])
    await answers(done)
    await shows(4)
    expect(await outcome()).toBe("waits")
    await shows(5)
    expect(await outcome()).toEqual({ version: 5 })
  })

  it("that was made and is not shown in time is told as made", async () => {
    const { answers, shows, submit } = setup()
    const { outcome } = await submit()
    await shows(4)
    await answers(done, submitMsMax + 100)
    expect(await outcome()).toMatchObject({ reason: "timeout", message: expect.stringMatching(/was made/) })
  })

  it("goes to this node where that leads, and waits where it is only elected yet", async () => {
    const { node, submit, tries } = setup()
    node.leader = { member: memberOf(1), term: 6 }
    await submit()
    await passes(10)
    expect(tries).toEqual([])
    node.leadsInTerm = 6
    await passes(pauseMs)
    expect(tries).toMatchObject([{ by: "here in 6" }])
  })

  it("that is refused is not tried again", async () => {
    const { answers, submit, tries } = setup()
    const { outcome } = await submit()
    const refusal = new TopicExists({ tenant, name: "a" })
    await answers(refusedBy(refusal), pauseMs)
    expect(await outcome()).toEqual(refusal)
    expect(tries).toHaveLength(1)
  })

  it("is tried again after a pause, as the next try of the same command on the same image", async () => {
    const { answers, heard, shows, submit, tries } = setup()
    await submit()
    await shows(3)
    await answers(notLeader(3, 5), 10)
    expect(heard).toMatchObject([{ leaderId: 3, term: 5 }])
    expect(tries).toHaveLength(1)
    await passes(pauseMs)
    await answers(leaderLost, pauseMs)
    expect(tries.map(({ attempt, basisVersion }) => [attempt, basisVersion])).toEqual([
      [1, 0],
      [2, 0],
      [3, 0]
    ])
    expect(new Set(tries.map((one) => one.command.commandId)).size).toBe(1)
    expect(new Set(tries.map((one) => one.deadlineMs)).size).toBe(1)
  })

  it("is taken back where nobody waits for it any more", async () => {
    const { submit, takenBack } = setup()
    const { stop } = await submit()
    await stop()
    expect(takenBack()).toBe(1)
  })
})

describe("whoever made a change that came to nothing is told", () => {
  it("that it was not made where no try was lost", async () => {
    const { answers, submit } = setup()
    const { outcome } = await submit()
    for (let passed = 0; passed <= submitMsMax + pauseMs; passed += pauseMs) await answers(notLeader(0, 0), pauseMs)
    expect(await outcome()).toMatchObject({ reason: "no-leader", message: expect.stringMatching(/was not made/) })
  })

  it("that it may have been made where one was, whatever became of those after it", async () => {
    const late = setup()
    const { outcome } = await late.submit()
    await late.answers(leaderLost, pauseMs)
    for (let passed = 0; passed <= submitMsMax + pauseMs; passed += pauseMs) await late.answers(notLeader(0, 0), pauseMs)
    expect(await outcome()).toMatchObject({ reason: "unknown" })
    const full = setup()
    const second = await full.submit()
    await full.answers(leaderLost, pauseMs)
    await full.answers(unavailable("overloaded", "full"))
    expect(await second.outcome()).toMatchObject({ reason: "unknown" })
    const first = await full.submit()
    await full.answers(unavailable("overloaded", "full"))
    expect(await first.outcome()).toMatchObject({ reason: "overloaded" })
  })

  it("why this node takes part no more, or learns of no change for now", async () => {
    const { answers, node, submit, tries } = setup()
    const open = await submit()
    const lost = await submit()
    tries[0]?.answer(done)
    await answers(leaderLost)
    node.noSpace = new MetadataUnavailable({ reason: "io", message: "no space" })
    node.spaceEnds()
    await passes(pauseMs)
    expect(await open.outcome()).toMatchObject({ reason: "timeout", message: expect.stringMatching(/was made/) })
    expect(await lost.outcome()).toMatchObject({ reason: "unknown", message: expect.stringMatching(/out of space/) })
    expect(await (await submit()).outcome()).toEqual(node.noSpace)
    node.fault = new MetadataUnavailable({ reason: "fenced", message: "over" })
    expect(await (await submit()).outcome()).toEqual(node.fault)
    expect(tries).toHaveLength(2)
  })

  it(`that ${commandsWaitingMax} wait already, and not so once one of them is answered or taken back`, async () => {
    const { answers, submit, tries } = setup()
    const first = await submit()
    await submit()
    await submit()
    expect(await (await submit()).outcome()).toMatchObject({ reason: "overloaded" })
    expect(tries).toHaveLength(commandsWaitingMax)
    await first.stop()
    await submit()
    expect(tries).toHaveLength(commandsWaitingMax + 1)
    await answers(refusedBy(new TopicExists({ tenant, name: "a" })))
    await submit()
    expect(tries).toHaveLength(commandsWaitingMax + 2)
    expect(await (await submit()).outcome()).toMatchObject({ reason: "overloaded" })
  })
})

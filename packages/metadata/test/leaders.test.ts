/** Who leads, as a node without a Raft member takes it. */
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import * as Effect from "effect/Effect"
import { expect, it, vi } from "vitest"
import { type ClusterPeersService, PeerUnavailable } from "../src/ClusterPeers.js"
import { Deadlines } from "../src/internal/Deadlines.js"
import { Forwarder } from "../src/internal/Forwarder.js"
import { ImageView } from "../src/internal/ImageView.js"
import * as Leaders from "../src/internal/Leaders.js"
import * as Submitter from "../src/internal/Submitter.js"
import { command, tenant } from "./commands.js"
import { memberOf } from "./support/MemoryCluster.js"

const members = [1, 2, 3].map(memberOf)
const nodeIdOf = (leader: Leaders.Leader | undefined) => leader?.member.nodeId

/** Settled within a turn, or undefined. */
const soon = (leader: Effect.Effect<Leaders.Leader>) =>
  Effect.runPromise(Effect.raceFirst(leader, Effect.as(Effect.sleep(0), undefined)))

it("guesses one member after another, and a guess is no news to who has guessed", async () => {
  const leaders = Leaders.ofObserver(() => members)
  const guess = leaders.now()
  expect(guess).toEqual({ member: members[0], term: 0 })
  leaders.silent(guess as Leaders.Leader)
  expect(nodeIdOf(leaders.now())).toBe(2)
  expect(await soon(leaders.after(guess))).toBeUndefined()
  leaders.heard({ leaderId: 3, term: 7 })
  const known = await soon(leaders.after(guess))
  expect(known).toEqual({ member: members[2], term: 7 })
  leaders.silent(known as Leaders.Leader)
  expect(nodeIdOf(await soon(leaders.after(known)))).toBe(3)
})

it("does not ask in a loop without a pause where every member is refused at once", async () => {
  let calls = 0
  const refused = new PeerUnavailable({ reason: "unreachable", message: "the connection was refused" })
  const submit = () =>
    Effect.suspend(() => {
      if (++calls > 1_000) throw new Error("it never pauses")
      return Effect.fail(refused)
    })
  const leaders = Leaders.ofObserver(() => members)
  const forwarder = new Forwarder({ at: () => ({ submit }) } as unknown as ClusterPeersService, leaders)
  const test = Effect.gen(function* () {
    yield* Effect.forkScoped(forwarder.run(yield* Effect.scope))
    const controller = Submitter.make({
      nodeId: 9,
      view: new ImageView(),
      machine: undefined,
      fault: () => undefined,
      leaders,
      forwarder,
      deadlines: new Deadlines((effect) => void Effect.runFork(effect)),
      options: { submitMsMax: 300, commandsWaitingMax: 10 }
    })
    return yield* Effect.flip(controller.submit(command("CreateTopic", { tenant, name: "a" })))
  })
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  const refusal = Effect.runPromise(Effect.scoped(test))
  await vi.advanceTimersByTimeAsync(1_000).finally(() => vi.useRealTimers())
  const error = await refusal
  expect(error).toBeInstanceOf(MetadataUnavailable)
  expect(error).toMatchObject({ reason: "no-leader" })
  // At most one in each of the shortest pauses.
  expect(calls).toBeGreaterThan(1)
  expect(calls).toBeLessThan(100)
})

/** What passes commands on to a leader that does not answer. */
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { expect, it } from "vitest"
import type { ClusterPeersService } from "../src/ClusterPeers.js"
import { Forwarder } from "../src/internal/Forwarder.js"
import type { Leaders } from "../src/internal/Leaders.js"
import { command, tenant } from "./commands.js"
import { memberOf, until } from "./support/MemoryCluster.js"

const nobodyElse: Leaders = {
  now: () => undefined,
  heard: () => undefined,
  silent: () => undefined,
  after: () => Effect.never
}

it("answers a command when its time is over: as not sent behind calls without an answer, else as lost", async () => {
  let calls = 0
  const peers = {
    at: () => ({
      submit: () =>
        Effect.zipRight(
          Effect.sync(() => calls++),
          Effect.never
        )
    })
  } as unknown as ClusterPeersService
  const forwarder = new Forwarder(peers, nobodyElse)
  const leader = { member: memberOf(2), term: 1 }
  const call = (deadlineMs: number) => {
    const one = { command: command("CreateTopic", { tenant, name: "a" }), basisVersion: 0, attempt: 1, deadlineMs }
    return Effect.async<SubmitOutcome>((resume) =>
      Effect.sync(forwarder.offer(leader, one, (outcome) => resume(Effect.succeed(outcome))))
    )
  }
  const test = Effect.gen(function* () {
    yield* Effect.forkScoped(forwarder.run(yield* Effect.scope))
    const long = []
    for (let count = 1; count <= 8; count++) {
      long.push(yield* Effect.fork(call(performance.now() + 60_000)))
      yield* Effect.promise(() => until(() => calls === count))
    }
    expect(yield* call(performance.now() + 20)).toMatchObject({ _tag: "NotLeader", leaderId: 0 })
    expect(calls).toBe(8)
    yield* Fiber.interruptAll(long)
  })
  await Effect.runPromise(Effect.scoped(test))
})

it("answers a command in time although another one in the same call may take longer", async () => {
  let commands = 0
  const peers = {
    at: () => ({
      submit: (request: { readonly commands: ReadonlyArray<unknown> }) =>
        Effect.zipRight(
          Effect.sync(() => {
            commands += request.commands.length
          }),
          Effect.never
        )
    })
  } as unknown as ClusterPeersService
  const forwarder = new Forwarder(peers, nobodyElse)
  const leader = { member: memberOf(2), term: 1 }
  const outcomes: Array<SubmitOutcome> = []
  const offer = (deadlineMs: number) => {
    const one = { command: command("DeleteTopic", { tenant, name: "a" }), basisVersion: 0, attempt: 1, deadlineMs }
    forwarder.offer(leader, one, (outcome) => outcomes.push(outcome))
  }
  const test = Effect.gen(function* () {
    offer(performance.now() + 60_000)
    offer(performance.now() + 20)
    yield* Effect.forkScoped(forwarder.run(yield* Effect.scope))
    yield* Effect.promise(() => until(() => outcomes.length > 0))
    expect(outcomes).toEqual([{ _tag: "Lost" }])
    expect(commands).toBe(2)
  })
  await Effect.runPromise(Effect.scoped(test))
})

it("answers what is not on its way when its node stops", async () => {
  const peers = { at: () => ({ submit: () => Effect.never }) } as unknown as ClusterPeersService
  const forwarder = new Forwarder(peers, nobodyElse)
  const outcomes: Array<SubmitOutcome> = []
  const offer = (term: number) =>
    forwarder.offer(
      { member: memberOf(2), term },
      {
        command: command("DeleteTopic", { tenant, name: "a" }),
        basisVersion: 0,
        attempt: 1,
        deadlineMs: performance.now() + 60_000
      },
      (outcome) => outcomes.push(outcome)
    )
  const test = Effect.gen(function* () {
    const runs = yield* Effect.forkScoped(forwarder.run(yield* Effect.scope))
    yield* Effect.yieldNow()
    // More calls than are under way at once: the last one waits.
    for (let term = 1; term <= 9; term++) offer(term)
    yield* Effect.sleep(0)
    yield* Fiber.interrupt(runs)
    expect(outcomes).toEqual([{ _tag: "NotLeader", leaderId: 0, term: 0 }])
  })
  await Effect.runPromise(Effect.scoped(test))
  expect(outcomes.slice(1)).toEqual(Array.from({ length: 8 }, () => ({ _tag: "Lost" })))
})

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

it("answers a command that waits behind calls without an answer when its time is over, as not sent", async () => {
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
  const leaders: Leaders = {
    now: () => undefined,
    heard: () => undefined,
    silent: () => undefined,
    after: () => Effect.never
  }
  const forwarder = new Forwarder(peers, leaders)
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

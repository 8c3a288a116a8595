/** What a command is answered with by a node that stops: that it had no effect is said only where that is so. */
import { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { expect, it } from "vitest"
import { Deadlines } from "../src/internal/Deadlines.js"
import type { Forwarder } from "../src/internal/Forwarder.js"
import { ImageView } from "../src/internal/ImageView.js"
import type { Leaders } from "../src/internal/Leaders.js"
import { doneWith, leaderLost } from "../src/internal/Outcomes.js"
import * as Submitter from "../src/internal/Submitter.js"
import { command, tenant } from "./commands.js"
import { memberOf, until } from "./support/MemoryCluster.js"

const closed = new MetadataUnavailable({ reason: "closed", message: "the node is stopping" })
const leader = { member: memberOf(2), term: 1 }
const leaders: Leaders = { now: () => leader, heard: () => undefined, silent: () => undefined, after: () => Effect.never }

/** A node whose leader gives one answer to its first command; it stops then. */
const stoppedAfter = (answer: SubmitOutcome) =>
  Effect.gen(function* () {
    let fault: MetadataUnavailable | undefined
    let asked = 0
    const view = new ImageView()
    const forwarder = {
      offer: (_: unknown, __: unknown, resume: (outcome: SubmitOutcome) => void) => {
        asked++
        resume(answer)
        return () => undefined
      }
    } as unknown as Forwarder
    const controller = Submitter.make({
      nodeId: 1,
      view,
      machine: undefined,
      fault: () => fault,
      leaders,
      forwarder,
      deadlines: new Deadlines((effect) => void Effect.runFork(effect)),
      options: { submitMsMax: 60_000, commandsWaitingMax: 10 }
    })
    const submitted = yield* Effect.fork(Effect.flip(controller.submit(command("DeleteTopic", { tenant, name: "a" }))))
    yield* Effect.promise(() => until(() => asked > 0))
    fault = closed
    view.stop(closed)
    const later = yield* Effect.flip(controller.submit(command("DeleteTopic", { tenant, name: "b" })))
    return { first: yield* Fiber.join(submitted), later }
  })

it("says that nothing is known of a change whose leader was lost", async () => {
  const { first, later } = await Effect.runPromise(stoppedAfter(leaderLost))
  expect(first).toMatchObject({ reason: "unknown" })
  expect(later).toMatchObject({ reason: "closed" })
})

it("says that a change was made which it has not shown yet", async () => {
  const { first } = await Effect.runPromise(stoppedAfter(doneWith({ version: 7 })))
  expect(first).toMatchObject({ reason: "timeout", message: expect.stringContaining("the change was made") })
})

/** How a node registers while it cannot be sure what became of a try, and when it serves without being registered. */
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { defaultTenant } from "@effectmq/schemas/Ids"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { ControllerService } from "../src/Controller.js"
import { register, usable } from "../src/internal/Registration.js"
import type { MetadataService } from "../src/Metadata.js"

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }))
afterEach(() => void vi.useRealTimers())

const image = { cluster: { clusterId: "a" }, tenantsById: new Map([[defaultTenant, {}]]) }

/** The numbers of the commands with which it was tried, the same number for the same command, where the tries fail for these reasons. */
const tried = async (reasons: ReadonlyArray<MetadataUnavailable["reason"]>, isOutAt?: number) => {
  const ids: Array<string> = []
  const controller = {
    submit: ({ commandId }: { readonly commandId: string }) =>
      Effect.suspend(() => {
        const reason = reasons[ids.length]
        ids.push(commandId)
        return reason === undefined ? Effect.void : Effect.fail(new MetadataUnavailable({ reason, message: "" }))
      })
  } as unknown as ControllerService
  const metadata = { sync: Effect.succeed(image) } as unknown as MetadataService
  const node = { nodeId: 2, name: "n", version: "1", addresses: [], roles: ["meta"] as const }
  const parts = { metadata, controller, node, makesCluster: false, mayReturn: () => ids.length - 1 === isOutAt }
  const registering = Effect.runPromise(
    Effect.flatMap(Deferred.make<void, MetadataError>(), (registered) => register(parts, registered))
  )
  await vi.runAllTimersAsync()
  await registering
  const distinct = [...new Set(ids)]
  return ids.map((id) => distinct.indexOf(id))
}

it("it tries the same command again for as long as nobody knows what became of it, and else another one", async () => {
  expect(await tried(["unknown", "no-leader", "timeout"])).toEqual([0, 0, 0, 0])
  expect(await tried(["no-leader", "overloaded", "unknown"])).toEqual([0, 1, 2, 2])
  // It was taken out meanwhile, and so off the list.
  expect(await tried(["unknown", "fenced"], 1)).toEqual([0, 0, 1])
})

/** After how many seconds a node serves that cannot register; `then`: what it learns of its place after so many. */
const servesAfter = async (
  first: { readonly reason?: string; readonly mayBeOut: boolean },
  then?: { readonly seconds: number; readonly reason?: string; readonly mayBeOut: boolean }
) => {
  const place = { reason: first.reason, mayBeOut: first.mayBeOut }
  const metadata = { image: () => image } as unknown as MetadataService
  let isUsable = false
  const waiting = Effect.runPromise(
    Effect.flatMap(Deferred.make<void, MetadataError>(), (registered) => usable(metadata, registered, place))
  ).then(() => {
    isUsable = true
  })
  for (let seconds = 1; ; seconds++) {
    await vi.advanceTimersByTimeAsync(1_000)
    if (isUsable) {
      await waiting
      return seconds
    }
    if (seconds === then?.seconds) Object.assign(place, { reason: then.reason, mayBeOut: then.mayBeOut })
  }
}

it("it serves what it knows where nobody knows more, and not while it is out or may be", async () => {
  expect(await servesAfter({ mayBeOut: false })).toBe(2)
  expect(await servesAfter({ mayBeOut: true }, { seconds: 5, mayBeOut: false })).toBe(6)
  // It hears of no leader, and nobody says that it is out.
  expect(await servesAfter({ mayBeOut: true })).toBe(10)
  expect(await servesAfter({ reason: "it was taken out", mayBeOut: false }, { seconds: 60, mayBeOut: false })).toBe(61)
})

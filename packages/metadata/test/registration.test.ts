/** How a node registers while it cannot be sure what became of a try. */
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { defaultTenant } from "@effectmq/schemas/Ids"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { ControllerService } from "../src/Controller.js"
import { register } from "../src/internal/Registration.js"
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

/**
 * `/delayed`: messages that are published later.
 */
import type { DelayedSummary } from "@effectmq/schemas/admin/Messages"
import { Messaging } from "@effectmq/messaging/Messaging"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { audited, done, limit, notFound, ok, pathPart, query, spaceOf, tenant, tenantField } from "./AdminRequest.js"
import { messageSummary } from "./RetainedResource.js"

const limitMax = 10_000

const listDelayed = Effect.gen(function* () {
  const wished = yield* query(Schema.Struct({ tenant: tenantField, limit: limit(100, limitMax) }))
  const space = yield* spaceOf(yield* Messaging, wished.tenant)
  const entries = space.delayed.list()
  const messages = entries
    .slice(0, wished.limit)
    .map(({ id, dueMs, message }): DelayedSummary => ({ id, dueMs, ...messageSummary(message) }))
  return ok({ messages, more: entries.length > wished.limit })
})

const cancelDelayed = Effect.gen(function* () {
  const tenantId = yield* tenant
  const space = yield* spaceOf(yield* Messaging, tenantId)
  const id = yield* pathPart("id")
  if (!space.delayed.cancel(id)) return yield* Effect.fail(notFound(`no delayed message is called ${id}`))
  yield* audited(tenantId, "delayed-cancel", id)
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/delayed", listDelayed),
  HttpRouter.del("/delayed/:id", cancelDelayed)
)

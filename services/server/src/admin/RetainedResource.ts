/**
 * `/retained`: the retained messages of a tenant. A topic is one part of the path, encoded.
 */
import type { RetainedSummary, RetainedView } from "@effectmq/schemas/admin/Messages"
import type { Message } from "@effectmq/messaging/Message"
import { Messaging } from "@effectmq/messaging/Messaging"
import { filterError } from "@effectmq/messaging/core/TopicFilter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ServerSettings } from "../ServerSettings.js"
import { audited, badRequest, done, limit, notFound, ok, pathPart, query, spaceOf, tenant, tenantField } from "./AdminRequest.js"

const limitMax = 10_000

export const messageSummary = (message: Message): RetainedSummary => ({
  topic: message.topic,
  qos: message.qos,
  payloadBytes: message.payloadEnd - message.payloadStart,
  publisher: message.publisher,
  publishedAtMs: message.publishedAtMs,
  expiresAtMs: message.expiresAtMs === 0 ? null : message.expiresAtMs
})

const listParameters = Schema.Struct({
  tenant: tenantField,
  filter: Schema.optionalWith(Schema.String, { default: () => "#" }),
  limit: limit(100, limitMax)
})

const listRetained = Effect.gen(function* () {
  const wished = yield* query(listParameters)
  const settings = (yield* ServerSettings).live.current
  const limits = { levelsMax: settings["mqtt.topicLevelsMax"], lengthMax: settings["mqtt.topicLengthMax"] }
  const problem = filterError(wished.filter, limits)
  if (problem !== undefined) return yield* Effect.fail(badRequest(`${wished.filter} is no topic filter: ${problem}`))
  const space = yield* spaceOf(yield* Messaging, wished.tenant)
  const found = space.retained.match(wished.filter, wished.limit + 1)
  return ok({
    messages: found.slice(0, wished.limit).map((entry) => messageSummary(entry.message)),
    more: found.length > wished.limit
  })
})

const showRetained = Effect.gen(function* () {
  const space = yield* spaceOf(yield* Messaging, yield* tenant)
  const topic = yield* pathPart("topic")
  const entry = space.retained.get(topic)
  if (entry === undefined) return yield* Effect.fail(notFound(`no message is retained for ${topic}`))
  const view: RetainedView = { ...messageSummary(entry.message), payloadBase64: entry.message.payload.toString("base64") }
  return ok(view)
})

const deleteRetained = Effect.gen(function* () {
  const tenantId = yield* tenant
  const space = yield* spaceOf(yield* Messaging, tenantId)
  const topic = yield* pathPart("topic")
  if (!space.retained.delete(topic)) return yield* Effect.fail(notFound(`no message is retained for ${topic}`))
  yield* audited(tenantId, "retained-delete", topic)
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/retained", listRetained),
  HttpRouter.get("/retained/:topic", showRetained),
  HttpRouter.del("/retained/:topic", deleteRetained)
)

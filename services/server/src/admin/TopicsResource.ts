/**
 * `/topics`, their partitions and what is stored in them.
 */
import { ConfigureTopicBody, CreateTopicBody } from "@effectmq/schemas/admin/Topics"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { topicOf } from "@effectmq/metadata/core/Image"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  audited,
  body,
  created,
  done,
  limit,
  notFound,
  ofMetadata,
  ok,
  pathPart,
  query,
  tenant,
  tenantField
} from "./AdminRequest.js"
import * as TopicShards from "./TopicShards.js"

/** Of one answer. */
const recordsMax = 1000

const show = (tenantId: string, name: string) =>
  Effect.flatMap(Metadata, (metadata) => {
    const topic = topicOf(metadata.image(), tenantId, name)
    return topic === undefined ? Effect.fail(notFound(`there is no topic ${name} in tenant ${tenantId}`)) : Effect.succeed(topic)
  })

const listTopics = Effect.gen(function* () {
  const tenantId = yield* tenant
  const metadata = yield* Metadata
  return ok([...metadata.image().topicsByName.values()].filter((topic) => topic.tenant === tenantId))
})

const showTopic = Effect.gen(function* () {
  return ok(yield* show(yield* tenant, yield* pathPart("name")))
})

const createTopic = Effect.gen(function* () {
  const tenantId = yield* tenant
  const name = yield* pathPart("name")
  const wished = yield* body(CreateTopicBody)
  const controller = yield* Controller
  const command = { _tag: "CreateTopic", ...(yield* stamp), tenant: tenantId, name, ...wished } as const
  yield* Effect.mapError(controller.submit(command), ofMetadata)
  yield* audited(tenantId, "topic-create", name)
  return created(yield* show(tenantId, name))
})

const configureTopic = Effect.gen(function* () {
  const tenantId = yield* tenant
  const name = yield* pathPart("name")
  const wished = yield* body(ConfigureTopicBody)
  const controller = yield* Controller
  const command = { _tag: "ConfigureTopic", ...(yield* stamp), tenant: tenantId, name, ...wished } as const
  yield* Effect.mapError(controller.submit(command), ofMetadata)
  yield* audited(tenantId, "topic-configure", name)
  return ok(yield* show(tenantId, name))
})

const partitionsOfTopic = Effect.gen(function* () {
  return ok(yield* TopicShards.partitions(yield* show(yield* tenant, yield* pathPart("name"))))
})

const offset = Schema.NumberFromString.pipe(Schema.int(), Schema.between(0, Number.MAX_SAFE_INTEGER))

const readParameters = Schema.Struct({
  tenant: tenantField,
  partition: Schema.optionalWith(offset, { default: () => 0 }),
  from: Schema.optionalWith(offset, { default: () => 0 }),
  limit: limit(100, recordsMax)
})

const readTopic = Effect.gen(function* () {
  const { partition, from, limit: count, tenant: tenantId } = yield* query(readParameters)
  const topic = yield* show(tenantId, yield* pathPart("name"))
  return ok(yield* TopicShards.read(topic, { partition, offset: from, limit: count }))
})

const deleteTopic = Effect.gen(function* () {
  const tenantId = yield* tenant
  const name = yield* pathPart("name")
  const { engine } = yield* show(tenantId, name)
  const controller = yield* Controller
  const command = { _tag: "DeleteTopic", ...(yield* stamp), tenant: tenantId, name } as const
  yield* Effect.mapError(controller.submit(command), ofMetadata)
  yield* audited(tenantId, "topic-delete", name)
  yield* TopicShards.remove({ tenant: tenantId, name, engine })
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/topics", listTopics),
  HttpRouter.get("/topics/:name", showTopic),
  HttpRouter.get("/topics/:name/partitions", partitionsOfTopic),
  HttpRouter.get("/topics/:name/records", readTopic),
  HttpRouter.put("/topics/:name", createTopic),
  HttpRouter.patch("/topics/:name", configureTopic),
  HttpRouter.del("/topics/:name", deleteTopic)
)

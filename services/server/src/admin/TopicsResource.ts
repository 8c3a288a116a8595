/**
 * `/topics`
 */
import { ConfigureTopicBody, CreateTopicBody } from "@effectmq/schemas/admin/Topics"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { topicOf } from "@effectmq/metadata/core/Image"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import { audited, body, created, done, notFound, ofMetadata, ok, pathPart, tenant } from "./AdminRequest.js"

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

const deleteTopic = Effect.gen(function* () {
  const tenantId = yield* tenant
  const name = yield* pathPart("name")
  const controller = yield* Controller
  const command = { _tag: "DeleteTopic", ...(yield* stamp), tenant: tenantId, name } as const
  yield* Effect.mapError(controller.submit(command), ofMetadata)
  yield* audited(tenantId, "topic-delete", name)
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/topics", listTopics),
  HttpRouter.get("/topics/:name", showTopic),
  HttpRouter.put("/topics/:name", createTopic),
  HttpRouter.patch("/topics/:name", configureTopic),
  HttpRouter.del("/topics/:name", deleteTopic)
)

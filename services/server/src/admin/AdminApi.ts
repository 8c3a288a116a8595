/**
 * Everything below `/api/v1`, one resource per file.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AclResource from "./AclResource.js"
import { AdminServer } from "./AdminServer.js"
import * as AlarmsResource from "./AlarmsResource.js"
import * as BansResource from "./BansResource.js"
import * as ConfigResource from "./ConfigResource.js"
import * as DelayedResource from "./DelayedResource.js"
import * as RetainedResource from "./RetainedResource.js"
import * as SessionsResource from "./SessionsResource.js"
import * as StatusResource from "./StatusResource.js"
import * as TenantsResource from "./TenantsResource.js"
import * as TopicsResource from "./TopicsResource.js"
import * as UsersResource from "./UsersResource.js"

const router = HttpRouter.concatAll(
  StatusResource.router,
  TenantsResource.router,
  UsersResource.router,
  AclResource.router,
  BansResource.router,
  TopicsResource.router,
  SessionsResource.router,
  RetainedResource.router,
  DelayedResource.router,
  AlarmsResource.router,
  ConfigResource.router
).pipe(HttpRouter.prefixAll("/api/v1"))

type Needs = Exclude<Effect.Effect.Context<typeof router>, HttpServerRequest.HttpServerRequest>

/** Answers `/api/v1` while it lives. */
export const layer = Layer.scopedDiscard(
  Effect.gen(function* () {
    const server = yield* AdminServer
    const context = yield* Effect.context<Needs>()
    yield* server.mount(
      Effect.mapInputContext(router, (request: Context.Context<HttpServerRequest.HttpServerRequest>) =>
        Context.merge(context, request)
      )
    )
  })
)

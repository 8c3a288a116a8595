/**
 * Everything below `/api/v1`, one resource per file.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Metadata } from "@effectmq/metadata/Metadata"
import { staleHeader } from "@effectmq/schemas/admin/AdminError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as AclResource from "./AclResource.js"
import { headerBytesMax, ofMetadata } from "./AdminRequest.js"
import { AdminServer } from "./AdminServer.js"
import * as AlarmsResource from "./AlarmsResource.js"
import * as BansResource from "./BansResource.js"
import * as ClusterResource from "./ClusterResource.js"
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
  ClusterResource.router,
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

/** These speak of this node, or say themselves how far what they tell is confirmed. */
const ownWords = ["/api/v1/status", "/api/v1/cluster"]

/**
 * Whatever is read here is what the cluster last acknowledged, on whichever node it is asked. Where no majority confirms that, a
 * change fails at once and a read is answered with what this node knew last, and says so.
 */
const confirmed = <E, R>(app: HttpApp.Default<E, R>) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (ownWords.some((path) => request.url.startsWith(path))) return yield* app
    const metadata = yield* Metadata
    const synced = yield* Effect.either(metadata.sync)
    if (Either.isRight(synced)) return yield* app
    if (request.method !== "GET") return yield* Effect.fail(ofMetadata(synced.left))
    return HttpServerResponse.setHeader(yield* app, staleHeader, synced.left.message)
  })

// A client id or topic in a path is as long as its name may be; the router's own bound is 100 characters.
const app = confirmed(HttpRouter.withRouterConfig(router, { maxParamLength: headerBytesMax }))

type Needs = Exclude<Effect.Effect.Context<typeof app>, HttpServerRequest.HttpServerRequest>

/** Answers `/api/v1` while it lives. */
export const layer = Layer.scopedDiscard(
  Effect.gen(function* () {
    const server = yield* AdminServer
    const context = yield* Effect.context<Needs>()
    yield* server.mount(
      Effect.mapInputContext(app, (request: Context.Context<HttpServerRequest.HttpServerRequest>) =>
        Context.merge(context, request)
      )
    )
  })
)

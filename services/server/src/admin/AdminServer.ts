/**
 * The admin HTTP server. It is the first thing that runs and the last that stops: health and metrics answer while the node
 * recovers and while it drains. `/api` answers once the parts behind it are there and `mount` was called.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { MetricsExporter } from "@effectmq/metrics/MetricsExporter"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type { RouteNotFound } from "@effect/platform/HttpServerError"
import * as FileSystem from "@effect/platform/FileSystem"
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Scope } from "effect/Scope"
import type { NodeState } from "../NodeState.js"
import { guard } from "./AdminGuard.js"
import { AdminError, bodyBytesMax, errorResponse, headerBytesMax } from "./AdminRequest.js"
import * as Health from "./Health.js"
import * as Scrape from "./Scrape.js"

export interface AdminServerOptions {
  readonly host: string
  readonly port: number
  readonly token: string | undefined
  /** Whether `/metrics` is served. */
  readonly metrics: Options<boolean>
  readonly timeouts?: AdminTimeouts
}

/** How long others may take; nobody holds a connection, or the end of the node, for longer. */
export interface AdminTimeouts {
  /** Until the headers of a request have come. */
  readonly headersMs: number
  /** Until the whole request has come. */
  readonly requestMs: number
  /** Until what is being answered is done, once the server stops. */
  readonly closeMs: number
}

export const defaultAdminTimeouts: AdminTimeouts = { headersMs: 10_000, requestMs: 30_000, closeMs: 2000 }

export class AdminListenError extends Data.TaggedError("AdminListenError")<{ readonly message: string }> {}

/** What answers below `/api/v1`. */
export type ApiApp = HttpApp.Default<AdminError | RouteNotFound>

export interface AdminServerService {
  readonly host: string
  /** The port that was bound, also where 0 was asked for. */
  readonly port: number
  /** Answers `/api/v1` until the scope ends. */
  mount(app: ApiApp): Effect.Effect<void, never, Scope>
}

export class AdminServer extends Context.Tag("@effectmq/server/AdminServer")<AdminServer, AdminServerService>() {}

const apiPrefix = "/api/v1/"
const connectionsMax = 512

const notServing = new AdminError({ status: 503, error: "NotServing", message: "the node does not serve yet, or no more" })

/** Every failure as JSON; a defect is logged and told as no more than that. */
const withErrors = <R>(app: HttpApp.Default<AdminError | RouteNotFound, R>) =>
  app.pipe(
    Effect.catchTags({
      AdminError: (error) => Effect.succeed(errorResponse(error)),
      RouteNotFound: ({ request }) =>
        Effect.succeed(
          errorResponse(
            new AdminError({ status: 404, error: "NotFound", message: `there is no ${request.method} ${request.url}` })
          )
        )
    }),
    Effect.catchAllDefect((defect) =>
      Effect.as(
        Effect.logError("a request to the admin API failed", defect),
        errorResponse(
          new AdminError({ status: 500, error: "Internal", message: "the request failed: see the log of the broker" })
        )
      )
    )
  )

const bound = (options: AdminServerOptions) => {
  const { closeMs, headersMs, requestMs } = options.timeouts ?? defaultAdminTimeouts
  return Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>, AdminListenError>((resume) => {
      const server = createServer({
        maxHeaderSize: headerBytesMax,
        headersTimeout: headersMs,
        requestTimeout: requestMs,
        connectionsCheckingInterval: Math.min(headersMs, 1000)
      })
      server.maxConnections = connectionsMax
      server.once("error", (error: Error & { readonly code?: string }) => {
        const why = error.code === "EADDRINUSE" ? "the port is taken by another program; see admin.http.port" : error.message
        const message = `the admin API cannot listen on ${options.host}:${options.port}: ${why}`
        resume(Effect.fail(new AdminListenError({ message })))
      })
      server.listen(options.port, options.host, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
      }).pipe(
        // A connection that says nothing is not idle for `close`, which would wait for it. What ends a scope is not interrupted by itself.
        Effect.interruptible,
        Effect.timeoutOption(closeMs),
        Effect.zipRight(Effect.sync(() => server.closeAllConnections()))
      )
  )
}

const make = (options: AdminServerOptions) =>
  Effect.gen(function* () {
    const server = yield* bound(options)
    let api: ApiApp | undefined
    const metrics = liveOf<boolean>(options.metrics)
    const healthAndMetrics = HttpRouter.concat(Health.router, Scrape.router)
    const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      request.url.startsWith(apiPrefix)
        ? Effect.zipRight(guard(options.token), api ?? Effect.fail(notServing))
        : metrics.current
          ? healthAndMetrics
          : Health.router
    )
    const limited = HttpIncomingMessage.withMaxBodySize(withErrors(app), Option.some(FileSystem.Size(bodyBytesMax)))
    const handler = yield* NodeHttpServer.makeHandler(HttpMiddleware.withLoggerDisabled(limited))
    server.on("request", handler)
    const address = server.address() as AddressInfo
    const service: AdminServerService = {
      host: address.address,
      port: address.port,
      mount: (mounted) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            api = mounted
          }),
          () =>
            Effect.sync(() => {
              api = undefined
            })
        )
    }
    return service
  })

export const layer = (options: AdminServerOptions): Layer.Layer<AdminServer, AdminListenError, NodeState | MetricsExporter> =>
  Layer.scoped(AdminServer, make(options))

/**
 * `/health/live` says that the process runs, `/health/ready` that it serves clients.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import { faultOf, NodeState } from "../NodeState.js"

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/health/live", Effect.succeed(HttpServerResponse.unsafeJson({ status: "live" }))),
  HttpRouter.get(
    "/health/ready",
    Effect.map(NodeState, (state) => {
      const { phase } = state
      const problem = faultOf(state)
      return problem === undefined
        ? HttpServerResponse.unsafeJson({ status: phase }, { status: phase === "serving" ? 200 : 503 })
        : HttpServerResponse.unsafeJson({ status: phase, fault: problem }, { status: 503 })
    })
  )
)

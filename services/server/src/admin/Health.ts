/**
 * `/health/live` says that the process runs, `/health/ready` that it serves clients.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import { faultOf, NodeState, waitsForOf } from "../NodeState.js"

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/health/live", Effect.succeed(HttpServerResponse.unsafeJson({ status: "live" }))),
  HttpRouter.get(
    "/health/ready",
    Effect.map(NodeState, (state) => {
      const { phase } = state
      const problem = faultOf(state)
      const waitsFor = waitsForOf(state)
      const answer = {
        status: phase,
        ...(problem === undefined ? {} : { fault: problem }),
        ...(waitsFor === undefined ? {} : { waitsFor })
      }
      return HttpServerResponse.unsafeJson(answer, { status: phase === "serving" && problem === undefined ? 200 : 503 })
    })
  )
)

/**
 * `GET /status`
 */
import type { Status } from "@effectmq/schemas/admin/Status"
import { Meters } from "@effectmq/metrics/Meters"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import process from "node:process"
import { resolve } from "node:path"
import { faultOf, NodeState } from "../NodeState.js"
import { ServerSettings } from "../ServerSettings.js"
import { version } from "../Version.js"
import { ok } from "./AdminRequest.js"

export const status = Effect.gen(function* () {
  const state = yield* NodeState
  const settings = (yield* ServerSettings).live.current
  const meters = yield* Meters
  const fault = faultOf(state)
  const answer: Status = {
    nodeId: settings["node.id"],
    nodeName: settings["node.name"],
    version,
    phase: state.phase,
    ...(fault === undefined ? {} : { fault }),
    startedAtMs: state.startedAtMs,
    uptimeSeconds: Math.floor(state.uptimeMs() / 1000),
    startMs: state.startMs,
    dataDir: resolve(settings["data.dir"]),
    authentication: state.authentication(),
    listeners: state.listeners,
    residentMemoryBytes: process.memoryUsage.rss(),
    meters: Object.fromEntries([...meters.snapshot()].filter(([, value]) => Number.isFinite(value)))
  }
  return answer
})

export const router = HttpRouter.empty.pipe(HttpRouter.get("/status", Effect.map(status, ok)))

/**
 * `/alarms`: conditions an operator has to know of.
 */
import type { AlarmSummary } from "@effectmq/schemas/admin/Alarms"
import type { Alarm } from "@effectmq/metrics/Alarms"
import { Alarms } from "@effectmq/metrics/Alarms"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import { ok } from "./AdminRequest.js"

const summaryOf = (alarm: Alarm): AlarmSummary => ({ ...alarm, clearedAtMs: alarm.clearedAtMs ?? null })

export const router = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/alarms",
    Effect.map(Alarms, (alarms) => ok({ active: alarms.active().map(summaryOf), history: alarms.history().map(summaryOf) }))
  )
)

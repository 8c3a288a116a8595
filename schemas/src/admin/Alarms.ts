/**
 * `GET /api/v1/alarms`: conditions an operator has to know of.
 */
import * as Schema from "effect/Schema"

export const AlarmSummary = Schema.Struct({
  name: Schema.String,
  message: Schema.String,
  raisedAtMs: Schema.Number,
  /** null while it holds. */
  clearedAtMs: Schema.NullOr(Schema.Number)
})
export type AlarmSummary = typeof AlarmSummary.Type

export const AlarmList = Schema.Struct({
  active: Schema.Array(AlarmSummary),
  /** Those cleared, newest first. */
  history: Schema.Array(AlarmSummary)
})

/**
 * `GET /api/v1/retained` (`filter`, `limit`) lists retained messages, `GET` and `DELETE /retained/<topic>`;
 * `GET /api/v1/delayed` (`limit`) lists messages that wait, `DELETE /delayed/<id>` cancels one.
 */
import * as Schema from "effect/Schema"

/** A message without its payload. */
const messageFields = {
  topic: Schema.String,
  qos: Schema.Int,
  payloadBytes: Schema.Int,
  publisher: Schema.String,
  publishedAtMs: Schema.Number,
  /** null: it does not expire. */
  expiresAtMs: Schema.NullOr(Schema.Number)
}

export const RetainedSummary = Schema.Struct(messageFields)
export type RetainedSummary = typeof RetainedSummary.Type

export const RetainedView = Schema.Struct({ ...messageFields, payloadBase64: Schema.String })
export type RetainedView = typeof RetainedView.Type

export const RetainedList = Schema.Struct({ messages: Schema.Array(RetainedSummary), more: Schema.Boolean })

export const DelayedSummary = Schema.Struct({ id: Schema.String, dueMs: Schema.Number, ...messageFields })
export type DelayedSummary = typeof DelayedSummary.Type

export const DelayedList = Schema.Struct({ messages: Schema.Array(DelayedSummary), more: Schema.Boolean })

/**
 * `/api/v1/sessions`: `GET` lists (parameters `limit`, `prefix`, `connected`), `GET` and `DELETE /<clientId>`,
 * `POST /<clientId>/kick` ends its connection. `GET /api/v1/subscriptions` lists subscriptions (`clientId`, `filter`, `limit`).
 */
import * as Schema from "effect/Schema"

export const SessionSummary = Schema.Struct({
  tenant: Schema.String,
  clientId: Schema.String,
  user: Schema.NullOr(Schema.String),
  connected: Schema.Boolean,
  /** null while no client is connected. */
  address: Schema.NullOr(Schema.String),
  /** `3.1`, `3.1.1` or `5.0`. */
  protocolVersion: Schema.String,
  /** 4294967295 is for ever, 0 ends with the connection. */
  expirySeconds: Schema.Number,
  subscriptions: Schema.Int,
  /** Sent and not yet acknowledged. */
  inflight: Schema.Int,
  /** Waiting in memory to be sent. */
  queued: Schema.Int,
  /** When the client came, or when it left where it is not connected. */
  sinceMs: Schema.NullOr(Schema.Number)
})
export type SessionSummary = typeof SessionSummary.Type

export const SessionList = Schema.Struct({
  sessions: Schema.Array(SessionSummary),
  /** There are more than were asked for. */
  more: Schema.Boolean
})

export const SubscriptionSummary = Schema.Struct({
  clientId: Schema.String,
  /** As the client wrote it, with `$share/<group>/` where it is shared. */
  filter: Schema.String,
  qos: Schema.Int,
  noLocal: Schema.Boolean,
  retainAsPublished: Schema.Boolean,
  subscriptionId: Schema.NullOr(Schema.Int)
})
export type SubscriptionSummary = typeof SubscriptionSummary.Type

export const SessionView = Schema.Struct({ ...SessionSummary.fields, subscriptionList: Schema.Array(SubscriptionSummary) })
export type SessionView = typeof SessionView.Type

export const SubscriptionList = Schema.Struct({ subscriptions: Schema.Array(SubscriptionSummary), more: Schema.Boolean })

/**
 * `/sessions`, `/subscriptions` and `/slow-subscribers`: MQTT sessions, connected or not, and what they subscribe to.
 */
import type { SessionSummary, SessionView, SubscriptionSummary } from "@effectmq/schemas/admin/Sessions"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  AdminError,
  audited,
  done,
  knownTenant,
  limit,
  notFound,
  ok,
  pathPart,
  query,
  tenant,
  tenantField
} from "./AdminRequest.js"
import type { SessionFacts, SubscriptionFacts, TenantSessions } from "./Sessions.js"
import { Sessions } from "./Sessions.js"

const limitMax = 10_000

const versionNames: Readonly<Record<number, string>> = { 3: "3.1", 4: "3.1.1", 5: "5.0" }

const none: TenantSessions = {
  persistentCount: 0,
  get: () => undefined,
  values: () => new Map<string, SessionFacts>().values(),
  kick: () => false,
  delete: () => false
}

const sessionsOf = (tenantId: string) =>
  Effect.zipRight(
    knownTenant(tenantId),
    Effect.map(Sessions, (sessions) => sessions.ofTenant(tenantId) ?? none)
  )

const summaryOf = (tenantId: string, session: SessionFacts): SessionSummary => {
  const connected = session.client !== undefined
  return {
    tenant: tenantId,
    clientId: session.clientId,
    user: session.user ?? null,
    connected,
    address: connected ? session.address : null,
    protocolVersion: versionNames[session.version] ?? String(session.version),
    expirySeconds: session.expirySeconds,
    subscriptions: session.subscriptionCount,
    inflight: session.outbound.inflightCount,
    queued: session.outbound.queuedCount,
    sinceMs: (connected ? session.connectedAtMs : session.disconnectedAtMs) || null
  }
}

const subscriptionOf = (clientId: string, filter: string, { subscription }: SubscriptionFacts): SubscriptionSummary => ({
  clientId,
  filter,
  qos: subscription.qos,
  noLocal: subscription.noLocal,
  retainAsPublished: subscription.retainAsPublished,
  subscriptionId: subscription.subscriptionId ?? null
})

const subscriptionsOf = (session: SessionFacts): ReadonlyArray<SubscriptionSummary> =>
  [...session.subscriptions].map(([filter, facts]) => subscriptionOf(session.clientId, filter, facts))

/** At most so many of them, and whether there are more. */
const taken = <A>(items: Iterable<A>, countMax: number): { readonly items: ReadonlyArray<A>; readonly more: boolean } => {
  const found: Array<A> = []
  for (const item of items) {
    if (found.length === countMax) return { items: found, more: true }
    found.push(item)
  }
  return { items: found, more: false }
}

const listParameters = Schema.Struct({
  tenant: tenantField,
  limit: limit(100, limitMax),
  prefix: Schema.optionalWith(Schema.String, { default: () => "" }),
  connected: Schema.optional(Schema.Literal("true", "false"))
})

const listSessions = Effect.gen(function* () {
  const wished = yield* query(listParameters)
  const sessions = yield* sessionsOf(wished.tenant)
  const matching = function* () {
    for (const session of sessions.values()) {
      if (!session.clientId.startsWith(wished.prefix)) continue
      if (wished.connected === undefined || (wished.connected === "true") === (session.client !== undefined)) yield session
    }
  }
  const { items, more } = taken(matching(), wished.limit)
  return ok({ sessions: items.map((session) => summaryOf(wished.tenant, session)), more })
})

const unknown = (clientId: string) => notFound(`there is no session of ${clientId}`)

const showSession = Effect.gen(function* () {
  const tenantId = yield* tenant
  const clientId = yield* pathPart("clientId")
  const session = (yield* sessionsOf(tenantId)).get(clientId)
  if (session === undefined) return yield* Effect.fail(unknown(clientId))
  const view: SessionView = { ...summaryOf(tenantId, session), subscriptionList: subscriptionsOf(session) }
  return ok(view)
})

const kickSession = Effect.gen(function* () {
  const tenantId = yield* tenant
  const sessions = yield* sessionsOf(tenantId)
  const clientId = yield* pathPart("clientId")
  if (sessions.get(clientId) === undefined) return yield* Effect.fail(unknown(clientId))
  if (!sessions.kick(clientId)) {
    return yield* Effect.fail(new AdminError({ status: 409, error: "NotConnected", message: `${clientId} is not connected` }))
  }
  yield* audited(tenantId, "session-kick", clientId)
  return done
})

const deleteSession = Effect.gen(function* () {
  const tenantId = yield* tenant
  const sessions = yield* sessionsOf(tenantId)
  const clientId = yield* pathPart("clientId")
  if (!sessions.delete(clientId)) return yield* Effect.fail(unknown(clientId))
  yield* audited(tenantId, "session-delete", clientId)
  return done
})

const subscriptionParameters = Schema.Struct({
  tenant: tenantField,
  limit: limit(100, limitMax),
  clientId: Schema.optional(Schema.String),
  /** Exactly this filter. */
  filter: Schema.optional(Schema.String)
})

const listSubscriptions = Effect.gen(function* () {
  const wished = yield* query(subscriptionParameters)
  const sessions = yield* sessionsOf(wished.tenant)
  const among = function* () {
    if (wished.clientId === undefined) yield* sessions.values()
    else {
      const session = sessions.get(wished.clientId)
      if (session !== undefined) yield session
    }
  }
  const matching = function* () {
    for (const session of among()) {
      for (const [filter, facts] of session.subscriptions) {
        if (wished.filter === undefined || wished.filter === filter) yield subscriptionOf(session.clientId, filter, facts)
      }
    }
  }
  const { items, more } = taken(matching(), wished.limit)
  return ok({ subscriptions: items, more })
})

const listSlowSubscribers = Effect.gen(function* () {
  return ok((yield* Sessions).slowSubscribers(yield* tenant))
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/sessions", listSessions),
  HttpRouter.get("/sessions/:clientId", showSession),
  HttpRouter.post("/sessions/:clientId/kick", kickSession),
  HttpRouter.del("/sessions/:clientId", deleteSession),
  HttpRouter.get("/subscriptions", listSubscriptions),
  HttpRouter.get("/slow-subscribers", listSlowSubscribers)
)

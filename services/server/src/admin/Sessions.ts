/**
 * What the admin API needs to know of MQTT sessions. Adapter: `MqttSessions.layer`; tests bring their own.
 */
import type { SlowSubscriberSummary } from "@effectmq/schemas/admin/SlowSubscribers"
import * as Context from "effect/Context"

export interface SubscriptionFacts {
  readonly subscription: {
    readonly qos: number
    readonly noLocal: boolean
    readonly retainAsPublished: boolean
    readonly subscriptionId: number | undefined
  }
}

export interface SessionFacts {
  readonly clientId: string
  readonly user: string | undefined
  readonly address: string
  /** 3, 4 or 5 as in CONNECT. */
  readonly version: number
  readonly expirySeconds: number
  readonly connectedAtMs: number
  /** 0 while connected. */
  readonly disconnectedAtMs: number
  /** undefined while no client is connected. */
  readonly client: unknown
  readonly outbound: { readonly inflightCount: number; readonly queuedCount: number }
  readonly subscriptionCount: number
  /** By filter as the client wrote it. */
  readonly subscriptions: ReadonlyMap<string, SubscriptionFacts>
}

/** The sessions of one tenant. */
export interface TenantSessions {
  /** Those that outlive their connections. */
  readonly persistentCount: number
  get(clientId: string): SessionFacts | undefined
  values(): IterableIterator<SessionFacts>
  /** Ends the connection; answers whether there was one. */
  kick(clientId: string): boolean
  /** Ends the session and its connection; answers whether there was one. */
  delete(clientId: string): boolean
}

export interface SessionsService {
  /** undefined: nobody of this tenant has come yet. */
  ofTenant(tenant: string): TenantSessions | undefined
  /** Slowest first. */
  slowSubscribers(tenant: string): ReadonlyArray<SlowSubscriberSummary>
}

export class Sessions extends Context.Tag("@effectmq/server/Sessions")<Sessions, SessionsService>() {}

/**
 * The admin API over parts in memory, reached by HTTP as a client would.
 */
import * as Alarms from "@effectmq/metrics/Alarms"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as MetadataStore from "@effectmq/metadata/MetadataStore"
import * as Messaging from "@effectmq/messaging/Messaging"
import type { AuditEvent } from "@effectmq/security/Audit"
import * as AuditLog from "@effectmq/security/AuditLog"
import * as PasswordHash from "@effectmq/security/PasswordHash"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import type { Settings } from "@effectmq/schemas/config/Settings"
import { resolve, settingsWith } from "@effectmq/schemas/config/Settings"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as AdminApi from "../src/admin/AdminApi.js"
import * as AdminServer from "../src/admin/AdminServer.js"
import type { SessionFacts } from "../src/admin/Sessions.js"
import { Sessions } from "../src/admin/Sessions.js"
import * as NodeState from "../src/NodeState.js"
import * as ClusterSettings from "../src/ClusterSettings.js"
import * as ServerSettings from "../src/ServerSettings.js"

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes, looked into by the tests
  readonly body: any
  readonly headers: Headers
}

const settingsLayer = (settings: Settings) => ServerSettings.layer({ ...Either.getOrThrow(resolve({})), settings })

const subscription = { qos: 1, noLocal: false, retainAsPublished: true, subscriptionId: undefined }

const session = (clientId: string, connected: boolean): SessionFacts => ({
  clientId,
  user: connected ? "alice" : undefined,
  address: "10.0.0.1",
  version: 5,
  expirySeconds: 60,
  connectedAtMs: 1000,
  disconnectedAtMs: connected ? 0 : 2000,
  client: connected ? {} : undefined,
  outbound: { inflightCount: 1, queuedCount: 2 },
  subscriptionCount: 2,
  subscriptions: new Map([
    ["a/#", { subscription }],
    [`own/${clientId}`, { subscription }]
  ])
})

/** Two sessions, one of them connected. */
const sessionsLayer = Layer.sync(Sessions, () => {
  const byClientId = new Map(["here", "away"].map((clientId) => [clientId, session(clientId, clientId === "here")]))
  return {
    slowSubscribers: (tenant: string) =>
      tenant === "default" ? [{ clientId: "here", topic: "a/b", latencyMs: 900, deliveries: 2, lastAtMs: 1000 }] : [],
    ofTenant: (tenant: string) =>
      tenant === "default"
        ? {
            persistentCount: byClientId.size,
            get: (clientId: string) => byClientId.get(clientId),
            values: () => byClientId.values(),
            kick: (clientId: string) => byClientId.get(clientId)?.client !== undefined,
            delete: (clientId: string) => byClientId.delete(clientId)
          }
        : undefined
  }
})

/** Changes made through any API of this file. */
export const auditEvents: Array<AuditEvent> = []

const messagesInMemory = Messaging.layer({ engine: "memory", durability: "os", logShards: 1 }).pipe(
  Layer.provideMerge(ShardEngines.layer({}))
)

/** Everything the API needs. */
export const parts = (settings: Settings) =>
  Layer.mergeAll(
    Alarms.layer(),
    PasswordHash.layer({ costLog2: 4, scramIterations: 4096 }),
    AuditLog.layerMemory(auditEvents),
    sessionsLayer,
    messagesInMemory
  ).pipe(
    Layer.provideMerge(ClusterSettings.layer),
    Layer.provideMerge(Layer.merge(MetadataStore.layerMemory(), settingsLayer(settings))),
    Layer.provideMerge(Layer.mergeAll(PrometheusMeters.layer(), NodeState.layer))
  )

export const layer = (overrides: Partial<Settings> = {}) => {
  const settings = settingsWith({ "admin.http.port": 0, ...overrides })
  const server = AdminServer.layer({
    host: settings["admin.http.host"],
    port: settings["admin.http.port"],
    token: settings["admin.token"],
    metrics: settings["metrics.enabled"]
  })
  return AdminApi.layer.pipe(Layer.provideMerge(server), Layer.provideMerge(parts(settings)))
}

export interface RequestOptions {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

export const request = (path: string, options: RequestOptions = {}): Effect.Effect<Answer, never, AdminServer.AdminServer> =>
  Effect.flatMap(AdminServer.AdminServer, ({ port }) =>
    Effect.promise(async () => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: options.method ?? "GET",
        headers: { ...options.headers },
        ...(options.body === undefined
          ? {}
          : { body: typeof options.body === "string" ? options.body : JSON.stringify(options.body) })
      })
      const text = await response.text()
      const json = response.headers.get("content-type")?.includes("json") === true
      return { status: response.status, body: json ? JSON.parse(text) : text, headers: response.headers }
    })
  )

export const api = (path: string, options: RequestOptions = {}) => request(`/api/v1${path}`, options)

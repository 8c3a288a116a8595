/**
 * What a connection needs of the server around it; small enough to be made by hand in a test.
 */
import type { Permissions } from "@effectmq/security/Authorizer"
import type { Credentials, Principal } from "@effectmq/security/Authenticator"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import type { TenantQuota } from "@effectmq/schemas/metadata/Tenant"
import type { LineBudget } from "@effectmq/network/core/LineBudget"
import type { PacketLimits } from "../codec/PacketLimits.js"
import type { SessionRegistry } from "../SessionRegistry.js"
import type { MqttOptions } from "./MqttOptions.js"
import type { RateLimiter } from "@effectmq/security/core/RateLimiter"
import type { TopicRules } from "./TopicRules.js"

/** Counted in plain numbers, read at scrape time. */
export class ConnectionCounters {
  connections = 0
  connectsAccepted = 0
  connectsRefused = 0
  publishesReceived = 0
  publishesSent = 0
  publishBytesSent = 0
  bytesReceived = 0
  publishesRefused = 0
  acknowledgementsReceived = 0
  acknowledgementsSent = 0
  subscribes = 0
  unsubscribes = 0
  pings = 0
  protocolErrors = 0
  keepAliveTimeouts = 0
  takeovers = 0
  rateLimited = 0
}

/** Everything of one tenant that a connection touches. */
export interface TenantSessions {
  readonly space: TenantSpace
  readonly registry: SessionRegistry
  readonly rate: RateLimiter
  /** As it is now. */
  quota(): TenantQuota
}

/** A client that was let in. */
export interface Admission {
  readonly principal: Principal
  readonly permissions: Permissions
  readonly tenant: TenantSessions
}

/** A client that was not. */
export interface Refusal {
  readonly reasonCode: number
  readonly message: string
}

export type LoginAnswer =
  | { readonly kind: "admitted"; readonly admission: Admission; readonly data: Uint8Array | undefined }
  | { readonly kind: "refused"; readonly refusal: Refusal }
  /** The conversation goes on [MQTT5 4.12]: `data` is for the client. */
  | { readonly kind: "continue"; readonly data: Uint8Array | undefined }

/** One conversation of enhanced authentication. */
export interface LoginExchange {
  step(data: Uint8Array, done: (answer: LoginAnswer) => void): void
}

/** Says who may come in; answers once, within the call or later. */
export interface Login {
  /** Returns how to say that nobody waits for the answer any more, where it takes time. */
  login(credentials: Credentials, done: (answer: LoginAnswer) => void): (() => void) | void
  /** Of who connects. */
  exchange(method: string, credentials: Credentials, done: (exchange: LoginExchange | Refusal) => void): void
  /** Of who is connected. */
  reauthenticate(method: string, credentials: Credentials, done: (exchange: LoginExchange | Refusal) => void): void
}

export interface ConnectionContext {
  /** As they are now; a connection keeps those it was told of. */
  options: MqttOptions
  rules: TopicRules
  readonly packetLimits: PacketLimits
  /** Lines of the log about packets that there was no room for. */
  readonly unfinishedLines: LineBudget
  readonly counters: ConnectionCounters
  readonly login: Login
  nowMs(): number
  /** Wall clock of the chunk that is being handled. */
  receivedAtMs: number
  /** Rises a few times a second: how long a connection may keep a decision. */
  epoch: number
  /** For clients that bring no id: unique, 1 to 23 letters and digits. */
  randomClientId(): string
  /** Runs after about that long. */
  after(delayMs: number, task: () => void): () => void
  /** A line for the log about one connection. */
  log(level: "debug" | "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>): void
  readonly shuttingDown: boolean
}

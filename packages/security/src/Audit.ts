/**
 * The port that keeps a record of decisions about security: refused logins, denied actions, bans, changes by administrators.
 *
 * `record` is synchronous and never fails or waits, so it may stand on the way of a message. Adapters: `AuditLog.layer`,
 * `AuditLog.layerMemory`, `AuditLog.layerNone`.
 */
import * as Context from "effect/Context"

export interface AuditSubject {
  readonly tenant: string
  /** undefined for an anonymous client. */
  readonly user: string | undefined
  readonly clientId: string
  readonly address: string
}

export type AuditEvent =
  | { readonly kind: "login-failed"; readonly subject: AuditSubject; readonly reason: string }
  | {
      readonly kind: "denied"
      readonly subject: AuditSubject
      readonly action: "publish" | "subscribe"
      /** Topic or filter. */
      readonly target: string
      /** Id of the rule that decided; undefined: the default. */
      readonly ruleId: string | undefined
    }
  | { readonly kind: "refused-banned"; readonly subject: AuditSubject; readonly ban: string; readonly reason: string }
  | {
      readonly kind: "ban-made"
      readonly tenant: string
      readonly ban: string
      readonly reason: string
      readonly untilMs: number | undefined
    }
  | {
      readonly kind: "admin-change"
      readonly tenant: string
      /** Who made it. */
      readonly by: string
      /** For instance `user-put`. */
      readonly change: string
      readonly target: string
    }

export type AuditKind = AuditEvent["kind"]

export interface AuditService {
  record(event: AuditEvent): void
}

export class Audit extends Context.Tag("@effectmq/security/Audit")<Audit, AuditService>() {}

/**
 * Who may connect and do what, from the settings: users, rules and bans in metadata.
 */
import type { Controller } from "@effectmq/metadata/Controller"
import type { Metadata } from "@effectmq/metadata/Metadata"
import type { Meters } from "@effectmq/metrics/Meters"
import * as AclAuthorizer from "@effectmq/security/AclAuthorizer"
import type { Audit } from "@effectmq/security/Audit"
import * as AuditLog from "@effectmq/security/AuditLog"
import type { Authenticator } from "@effectmq/security/Authenticator"
import type { Authorizer } from "@effectmq/security/Authorizer"
import * as Bans from "@effectmq/security/Bans"
import * as FlappingDetector from "@effectmq/security/FlappingDetector"
import * as PasswordHash from "@effectmq/security/PasswordHash"
import * as Tenancy from "@effectmq/security/Tenancy"
import * as TenantQuotas from "@effectmq/security/TenantQuotas"
import * as UsersAuthenticator from "@effectmq/security/UsersAuthenticator"
import type { Live } from "@effectmq/schemas/config/Live"
import type { Settings } from "@effectmq/schemas/config/Settings"
import * as Layer from "effect/Layer"
import * as LocalAnonymous from "./LocalAnonymous.js"

export type SecurityParts =
  | Authenticator
  | Authorizer
  | Bans.Bans
  | FlappingDetector.FlappingDetector
  | Tenancy.Tenancy
  | TenantQuotas.TenantQuotas
  | PasswordHash.PasswordHash
  | Audit

const authenticator = (live: Live<Settings>) => {
  const options = live.map((settings) => ({
    allowAnonymous: settings["auth.allowAnonymous"],
    useCertificateCommonName: settings["auth.certificateUsers"]
  }))
  const users = UsersAuthenticator.layer(options)
  return options.current.allowAnonymous ? users : Layer.provide(LocalAnonymous.layer, users)
}

/** What a tenant has no quota for is as configured. */
const quotas = (settings: Settings) => ({
  messagesPerSecond: settings["limits.tenant.messagesPerSecond"],
  bytesPerSecond: settings["limits.tenant.bytesPerSecond"]
})

const flapping = (settings: Settings) => ({
  enabled: settings["mqtt.flapping.enabled"],
  connectsMax: settings["mqtt.flapping.connectsMax"],
  windowSeconds: settings["mqtt.flapping.windowSeconds"],
  banSeconds: settings["mqtt.flapping.banSeconds"]
})

export const layer = (live: Live<Settings>): Layer.Layer<SecurityParts, never, Metadata | Controller | Meters> =>
  Layer.mergeAll(
    authenticator(live),
    AclAuthorizer.layer(live.map((settings) => ({ defaultEffect: settings["auth.defaultAcl"] }))),
    FlappingDetector.layer(live.map(flapping)),
    Tenancy.layer(live.map((settings) => ({ tenantInUsername: settings["mqtt.tenantInUsername"] }))),
    TenantQuotas.layer(live.map(quotas))
  ).pipe(Layer.provideMerge(Bans.layer()), Layer.provideMerge(Layer.mergeAll(PasswordHash.layer(), AuditLog.layer())))

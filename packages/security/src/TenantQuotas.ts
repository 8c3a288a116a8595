/**
 * The port that says what a tenant may use. Adapters: `layer` (quotas in metadata over defaults), `fixed` for the same for all.
 */
import { Metadata } from "@effectmq/metadata/Metadata"
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import type { TenantQuota } from "@effectmq/schemas/metadata/Tenant"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RateLimiter, type RateLimits } from "./core/RateLimiter.js"

export interface TenantQuotasService {
  /** As it is now; without any field where nothing is limited. */
  quota(tenant: string): TenantQuota
  /** One for all clients of the tenant: the same object every time, which follows later changes by itself. */
  rate(tenant: string): RateLimiter
}

export class TenantQuotas extends Context.Tag("@effectmq/security/TenantQuotas")<TenantQuotas, TenantQuotasService>() {}

const noQuota: TenantQuota = {}

/** Limiters by tenant, made when they are asked for. Tenants are made by administrators, so they are few. */
const limiters = (limitsOf: (tenant: string) => RateLimits) => {
  const byTenant = new Map<string, RateLimiter>()
  return {
    byTenant,
    rate: (tenant: string): RateLimiter => {
      let limiter = byTenant.get(tenant)
      if (limiter === undefined) {
        limiter = new RateLimiter(limitsOf(tenant))
        byTenant.set(tenant, limiter)
      }
      return limiter
    }
  }
}

/** No quota but these rates, for every tenant. */
export const fixed = (defaults: RateLimits = {}): TenantQuotasService => ({
  quota: () => noQuota,
  rate: limiters(() => defaults).rate
})

/** A quota's own rate holds where it has one, even above the default. */
export const layer = (defaultRates: Options<RateLimits> = {}): Layer.Layer<TenantQuotas, never, Metadata> =>
  Layer.scoped(
    TenantQuotas,
    Effect.gen(function* () {
      const metadata = yield* Metadata
      const defaults = liveOf(defaultRates)
      const quota = (tenant: string) => metadata.image().tenantsById.get(tenant)?.quota ?? noQuota
      const limitsOf = (tenant: string): RateLimits => {
        const { publishMessagesPerSecondMax, publishBytesPerSecondMax } = quota(tenant)
        return {
          messagesPerSecond: publishMessagesPerSecondMax ?? defaults.current.messagesPerSecond,
          bytesPerSecond: publishBytesPerSecondMax ?? defaults.current.bytesPerSecond
        }
      }
      const { byTenant, rate } = limiters(limitsOf)
      const configureAll = () => {
        for (const [tenant, limiter] of byTenant) limiter.configure(limitsOf(tenant))
      }
      const stopFollowing = metadata.onChange((delta) => {
        if (delta.before.tenantsById !== delta.after.tenantsById) configureAll()
      })
      const stopListening = defaults.onChange(configureAll)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          stopFollowing()
          stopListening()
        })
      )
      return { quota, rate }
    })
  )

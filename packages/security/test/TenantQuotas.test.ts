import type { TenantQuota } from "@effectmq/schemas/metadata/Tenant"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fixed, layer, TenantQuotas } from "../src/TenantQuotas.js"
import { TestMetadata } from "./support/TestMetadata.js"

const setQuota = (metadata: TestMetadata, tenant: string, quota: TenantQuota) =>
  metadata.change((image) => ({
    tenantsById: image.tenantsById.set(tenant, { tenant, quota, createdAtMs: 0, aclDefault: undefined })
  }))

describe("TenantQuotas", () => {
  it.effect("takes rates from the tenant's quota, or the defaults, and follows changes", () => {
    const metadata = new TestMetadata()
    return Effect.gen(function* () {
      const quotas = yield* TenantQuotas
      const rate = quotas.rate("default")
      expect(quotas.rate("default")).toBe(rate)
      // By default 10 a second.
      expect(rate.take(0, 10, 0)).toBe(0)
      expect(rate.take(0, 5, 0)).toBe(500)
      setQuota(metadata, "default", { publishMessagesPerSecondMax: 100, publishBytesPerSecondMax: 1000, connectionsMax: 3 })
      expect(quotas.quota("default")).toMatchObject({ connectionsMax: 3 })
      expect(rate.take(0, 100, 0)).toBe(0)
      expect(rate.take(0, 0, 2000)).toBe(1000)
      setQuota(metadata, "default", {})
      expect(rate.take(0, 15, 1e9)).toBe(500)
      expect(quotas.quota("unknown")).toEqual({})
    }).pipe(Effect.provide(layer({ messagesPerSecond: 10 })), Effect.provide(metadata.layer))
  })

  it.effect("keeps tenants apart", () => {
    const metadata = new TestMetadata()
    return Effect.gen(function* () {
      const quotas = yield* TenantQuotas
      setQuota(metadata, "a", { publishMessagesPerSecondMax: 1 })
      setQuota(metadata, "b", { publishMessagesPerSecondMax: 1 })
      expect(quotas.rate("a").take(0, 2, 0)).toBe(1000)
      expect(quotas.rate("b").take(0, 1, 0)).toBe(0)
    }).pipe(Effect.provide(layer()), Effect.provide(metadata.layer))
  })

  it("can be the same for all", () => {
    const quotas = fixed({ bytesPerSecond: 10 })
    expect(quotas.quota("a")).toEqual({})
    expect(quotas.rate("a").take(0, 1, 20)).toBe(1000)
    expect(quotas.rate("b").take(0, 1, 10)).toBe(0)
    expect(fixed().rate("a").unlimited).toBe(true)
  })
})

import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AuditEvent } from "../src/Audit.js"
import * as AuditLog from "../src/AuditLog.js"
import type { Credentials } from "../src/Authenticator.js"
import { layer, Tenancy, type TenancyOptions } from "../src/Tenancy.js"
import { TestMetadata } from "./support/TestMetadata.js"

const credentials = (username: string | undefined, more: Partial<Credentials> = {}): Credentials => ({
  tenant: "default",
  clientId: "c",
  username,
  password: undefined,
  certificateCommonName: undefined,
  address: "127.0.0.1",
  ...more
})

const tenancy = (options: TenancyOptions = {}) => {
  const events: Array<AuditEvent> = []
  const metadata = new TestMetadata()
  const addTenant = (tenant: string) =>
    metadata.change((image) => ({
      tenantsById: image.tenantsById.set(tenant, { tenant, quota: {}, createdAtMs: 0, aclDefault: undefined })
    }))
  addTenant("default")
  const below = Layer.merge(metadata.layer, AuditLog.layerMemory(events))
  const { locate } = Effect.runSync(Effect.provide(Tenancy, Layer.provide(layer(options), below)))
  return { events, metadata, addTenant, locate }
}

const refused = { _tag: "AuthenticationFailed", reason: "not-authorized" }

describe("Tenancy", () => {
  it("takes the tenant that the user name asks for, once there is one", () => {
    const { addTenant, locate, events } = tenancy()
    expect(locate(credentials("shop:alice"))).toMatchObject(refused)
    expect(events).toEqual([
      {
        kind: "login-failed",
        subject: { tenant: "default", user: "shop:alice", clientId: "c", address: "127.0.0.1" },
        reason: "unknown-tenant"
      }
    ])
    addTenant("shop")
    expect(locate(credentials("shop:alice"))).toEqual(credentials("alice", { tenant: "shop" }))
    expect(locate(credentials("shop:a:b"))).toEqual(credentials("a:b", { tenant: "shop" }))
    expect(locate(credentials("default:alice", { tenant: "shop" }))).toEqual(credentials("alice"))
  })

  it("leaves every other name in the listener's tenant", () => {
    const { locate, metadata, events } = tenancy()
    metadata.putUser("urn:lamp")
    for (const username of [undefined, "", "alice", ":alice", "urn:lamp"]) {
      expect(locate(credentials(username))).toEqual(credentials(username))
    }
    expect(locate(credentials("urn:fan"))).toMatchObject(refused)
    expect(events).toHaveLength(1)
  })

  it("believes a certificate in the listener's tenant only", () => {
    const { addTenant, locate } = tenancy()
    addTenant("shop")
    const certificate = { certificateCommonName: "alice" }
    expect(locate(credentials("alice", certificate))).toMatchObject(certificate)
    expect(locate(credentials("default:alice", certificate))).toMatchObject(certificate)
    expect(locate(credentials("shop:alice", certificate))).toMatchObject({ tenant: "shop", certificateCommonName: undefined })
  })

  it("refuses the clients of a listener whose tenant there is not", () => {
    const { addTenant, locate } = tenancy()
    expect(locate(credentials("alice", { tenant: "shop" }))).toMatchObject(refused)
    addTenant("shop")
    expect(locate(credentials("alice", { tenant: "shop" }))).toEqual(credentials("alice", { tenant: "shop" }))
  })

  it("can leave user names alone", () => {
    const { addTenant, locate } = tenancy({ tenantInUsername: false })
    addTenant("shop")
    expect(locate(credentials("shop:alice"))).toEqual(credentials("shop:alice"))
    expect(locate(credentials("nobody:alice"))).toEqual(credentials("nobody:alice"))
  })
})

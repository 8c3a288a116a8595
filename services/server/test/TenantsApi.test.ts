import { Message } from "@effectmq/messaging/Message"
import { Messaging } from "@effectmq/messaging/Messaging"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { api, auditEvents, layer } from "./adminHarness.js"

const put = (body: unknown) => ({ method: "PUT", body })
const message = (topic: string): Message =>
  new Message(topic, Buffer.from("x"), 0, 1, 1, true, undefined, 1000, 0, "publisher", undefined)

const remove = { method: "DELETE" }

const retainedTopics = (tenant: string) =>
  Effect.map(api(`/retained?tenant=${tenant}`), ({ body }) => body.messages.map((each: { topic: string }) => each.topic))

describe("tenants", () => {
  it.scoped("are made, changed, listed and deleted", () =>
    Effect.gen(function* () {
      expect((yield* api("/tenants")).body).toMatchObject([{ name: "default" }])
      const made = yield* api("/tenants/shop", put({ connectionsMax: 5, publishMessagesPerSecondMax: 100 }))
      expect(made).toMatchObject({ status: 201, body: { name: "shop", connectionsMax: 5, publishMessagesPerSecondMax: 100 } })
      const changed = yield* api("/tenants/shop", put({ connectionsMax: null, subscriptionsMax: 7 }))
      expect(changed.status).toBe(200)
      expect(changed.body).toEqual({
        name: "shop",
        publishMessagesPerSecondMax: 100,
        subscriptionsMax: 7,
        createdAtMs: made.body.createdAtMs
      })
      expect((yield* api("/tenants/shop")).body).toEqual(changed.body)
      yield* api("/tenants/bank", put({}))
      expect((yield* api("/tenants")).body.map(({ name }: { name: string }) => name)).toEqual(["bank", "default", "shop"])
      expect((yield* api("/tenants/shop", remove)).status).toBe(204)
      expect(yield* api("/tenants/shop")).toMatchObject({ status: 404, body: { error: "NotFound" } })
      expect(yield* api("/tenants/shop", remove)).toMatchObject({ status: 404, body: { error: "UnknownTenant" } })
      const changes = auditEvents.flatMap((event) =>
        event.kind === "admin-change" && event.target === "shop" ? [event.change] : []
      )
      expect(changes).toEqual(["tenant-create", "tenant-configure", "tenant-delete"])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("are refused where a name or limit is none", () =>
    Effect.gen(function* () {
      for (const [name, body] of [
        ["a:b", {}],
        ["shop", { connectionsMax: -1 }],
        ["shop", { publishMessagesPerSecondMax: 0 }],
        ["shop", { connectionsMax: "5" }],
        ["shop", { connections: 5 }]
      ] as const) {
        expect((yield* api(`/tenants/${encodeURIComponent(name)}`, put(body))).status).toBe(400)
      }
      expect((yield* api("/tenants")).body).toHaveLength(1)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("stay while they have users or topics, and the first one stays for ever", () =>
    Effect.gen(function* () {
      yield* api("/tenants/shop", put({}))
      for (const [path, body] of [
        ["/users/alice?tenant=shop", { password: "x" }],
        ["/topics/orders?tenant=shop", {}]
      ] as const) {
        expect((yield* api(path, put(body))).status).toBe(201)
        expect(yield* api("/tenants/shop", remove)).toMatchObject({ status: 409, body: { error: "TenantInUse" } })
        expect((yield* api(path, remove)).status).toBe(204)
      }
      expect((yield* api("/tenants/shop", remove)).status).toBe(204)
      expect(yield* api("/tenants/default", remove)).toMatchObject({ status: 409, body: { error: "TenantInUse" } })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("take with them what is retained and what waits, and nothing of others", () =>
    Effect.gen(function* () {
      const messaging = yield* Messaging
      yield* api("/tenants/shop", put({}))
      for (const tenant of ["default", "shop"]) {
        const space = yield* messaging.space(tenant)
        for (const topic of ["a", "b/c"]) space.retained.publish(message(topic), undefined)
        space.delayed.schedule(message("later"), Date.now() + 3_600_000, undefined, 0)
      }
      expect(yield* retainedTopics("shop")).toHaveLength(2)
      expect((yield* api("/tenants/shop", remove)).status).toBe(204)
      expect((yield* api("/retained?tenant=shop")).status).toBe(404)
      yield* api("/tenants/shop", put({}))
      expect(yield* retainedTopics("shop")).toEqual([])
      expect((yield* api("/delayed?tenant=shop")).body.messages).toEqual([])
      expect(yield* retainedTopics("default")).toHaveLength(2)
      expect((yield* api("/delayed")).body.messages).toHaveLength(1)
    }).pipe(Effect.provide(layer()))
  )
})

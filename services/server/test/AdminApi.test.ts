import { NodeState } from "../src/NodeState.js"
import { Message } from "@effectmq/messaging/Message"
import { Messaging } from "@effectmq/messaging/Messaging"
import { Metadata } from "@effectmq/metadata/Metadata"
import { userOf } from "@effectmq/metadata/core/Image"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { request as httpRequest } from "node:http"
import { type Answer, api, auditEvents, layer, request } from "./adminHarness.js"
import { AdminServer } from "../src/admin/AdminServer.js"

const put = (body: unknown) => ({ method: "PUT", body })

/** Like fetch, which does not let one choose these headers. */
const withHeaders = (headers: Record<string, string>) =>
  Effect.flatMap(AdminServer, ({ port }) =>
    Effect.async<number>((resume) => {
      httpRequest({ host: "127.0.0.1", port, path: "/api/v1/status", headers }, (response) => {
        response.resume()
        resume(Effect.succeed(response.statusCode ?? 0))
      }).end()
    })
  )

describe("health and metrics", () => {
  it.scoped("ready follows the phase, live does not", () =>
    Effect.gen(function* () {
      expect((yield* request("/health/live")).status).toBe(200)
      expect((yield* request("/health/ready")).status).toBe(503)
      ;(yield* NodeState).phase = "serving"
      expect((yield* request("/health/ready")).body).toEqual({ status: "serving" })
      ;(yield* NodeState).phase = "draining"
      expect((yield* request("/health/ready")).status).toBe(503)
      expect((yield* request("/health/live")).status).toBe(200)
      const state = yield* NodeState
      state.phase = "serving"
      state.faults.push(() => "the disk is full")
      expect(yield* request("/health/ready")).toMatchObject({ status: 503, body: { fault: "the disk is full" } })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("metrics are in the text format, and can be turned off", () =>
    Effect.gen(function* () {
      const answer = yield* request("/metrics")
      expect(answer.status).toBe(200)
      expect(answer.headers.get("content-type")).toContain("text/plain")
      const off = yield* Effect.provide(request("/metrics"), layer({ "metrics.enabled": false }))
      expect(off.status).toBe(404)
    }).pipe(Effect.provide(layer()))
  )
})

describe("who may use the API", () => {
  it.scoped("wants the token where one is set", () =>
    Effect.gen(function* () {
      expect((yield* api("/status")).body).toEqual({ error: "Unauthorized", message: expect.stringContaining("admin.token") })
      expect((yield* api("/status", { headers: { authorization: "Bearer wrong" } })).status).toBe(401)
      expect((yield* api("/status", { headers: { authorization: "Bearer right" } })).status).toBe(200)
      expect((yield* request("/health/live")).status).toBe(200)
    }).pipe(Effect.provide(layer({ "admin.token": "right" })))
  )

  it.scoped("without one refuses web pages and foreign host names", () =>
    Effect.gen(function* () {
      expect(yield* withHeaders({})).toBe(200)
      expect(yield* withHeaders({ origin: "http://evil.example" })).toBe(403)
      expect(yield* withHeaders({ host: "evil.example" })).toBe(403)
      expect(yield* withHeaders({ host: "[::1]:9644" })).toBe(200)
    }).pipe(Effect.provide(layer()))
  )
})

describe("errors", () => {
  it.scoped("are JSON with a name and a message", () =>
    Effect.gen(function* () {
      expect(yield* api("/nothing")).toMatchObject({ status: 404, body: { error: "NotFound" } })
      expect(yield* request("/nothing")).toMatchObject({ status: 404, body: { error: "NotFound" } })
      expect(yield* api("/users/a", put("{"))).toMatchObject({ status: 400, body: { message: "the body is no JSON" } })
      expect(yield* api("/users/a", put({ pasword: "x" }))).toMatchObject({
        status: 400,
        body: { error: "BadRequest", message: expect.stringContaining("pasword") }
      })
      expect(yield* api("/topics?tenat=x")).toMatchObject({ status: 400, body: { error: "BadRequest" } })
      expect(yield* api("/users/a", put("x".repeat(2_000_000)))).toMatchObject({ status: 413 })
    }).pipe(Effect.provide(layer()))
  )
})

describe("users", () => {
  it.scoped("are made, changed, listed and deleted; passwords are hashed and never shown", () =>
    Effect.gen(function* () {
      expect(yield* api("/users/alice", put({ superuser: true }))).toMatchObject({ status: 400 })
      expect(yield* api("/users/shop%3Aalice", put({ password: "s3cret" }))).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining("none of them a colon") }
      })
      const made = yield* api("/users/alice", put({ password: "s3cret" }))
      expect(made).toMatchObject({ status: 201, body: { name: "alice", superuser: false, hasPassword: true, hasScram: true } })
      const stored = () => Effect.map(Metadata, (metadata) => userOf(metadata.image(), "default", "alice"))
      const first = yield* stored()
      expect(first?.passwordHash).toMatch(/^\$scrypt\$/)
      expect(yield* api("/users/alice", put({ superuser: true }))).toMatchObject({ status: 200, body: { superuser: true } })
      expect((yield* stored())?.passwordHash).toBe(first?.passwordHash)
      yield* api("/users/alice", put({ password: "other" }))
      const changed = yield* stored()
      expect(changed?.passwordHash).not.toBe(first?.passwordHash)
      expect(changed?.superuser).toBe(true)
      const list = yield* api("/users")
      expect(list.body).toHaveLength(1)
      expect(JSON.stringify(list.body)).not.toMatch(/scrypt|s3cret/)
      expect((yield* api("/users/alice", { method: "DELETE" })).status).toBe(204)
      expect(yield* api("/users/alice", { method: "DELETE" })).toMatchObject({ status: 404, body: { error: "UnknownUser" } })
      expect((yield* api("/users/alice")).status).toBe(404)
      const changes = auditEvents.flatMap((event) => (event.kind === "admin-change" ? [`${event.change} ${event.target}`] : []))
      expect(changes.filter((change) => change.endsWith(" alice"))).toEqual([
        "user-put-password alice",
        "user-put alice",
        "user-put-password alice",
        "user-delete alice"
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("may have any name that a path can carry", () =>
    Effect.gen(function* () {
      const name = "a/b c%ü"
      const answer = yield* api(`/users/${encodeURIComponent(name)}`, put({ password: "x" }))
      expect(answer).toMatchObject({ status: 201, body: { name } })
    }).pipe(Effect.provide(layer()))
  )
})

describe("acl", () => {
  it.scoped("rules are kept in order, and the default can be set", () =>
    Effect.gen(function* () {
      expect((yield* api("/acl")).body).toEqual({ default: "allow", defaultFrom: "configuration", rules: [] })
      const rule = { effect: "allow", action: "publish", filter: "a/%c/#" }
      const first = yield* api("/acl/rules", { method: "POST", body: rule })
      expect(first).toMatchObject({ status: 201, body: { position: 10, who: {} } })
      yield* api("/acl/rules", { method: "POST", body: { ...rule, effect: "deny", who: { user: "bob" } } })
      yield* api("/acl/rules/between", put({ ...rule, position: 15 }))
      const view = (yield* api("/acl")).body
      expect(view.rules.map((each: { position: number }) => each.position)).toEqual([10, 15, 20])
      yield* api("/acl/rules/between", put({ ...rule, action: "all" }))
      expect((yield* api("/acl")).body.rules[1]).toMatchObject({ id: "between", position: 15, action: "all" })
      expect((yield* api("/acl/rules/between", { method: "DELETE" })).status).toBe(204)
      expect(yield* api("/acl/rules/between", { method: "DELETE" })).toMatchObject({ status: 404 })
      expect((yield* api("/acl/default", put({ effect: "deny" }))).body).toMatchObject({ default: "deny", defaultFrom: "acl" })
      expect((yield* api("/acl/default", put({ effect: null }))).body).toMatchObject({ defaultFrom: "configuration" })
      expect((yield* api("/acl/rules", { method: "POST", body: { ...rule, filter: "a/#/b" } })).status).toBe(400)
    }).pipe(Effect.provide(layer()))
  )
})

describe("bans", () => {
  it.scoped("are made, listed while they hold, and taken away", () =>
    Effect.gen(function* () {
      const untilMs = Date.now() + 60_000
      expect(yield* api("/bans/clientId/a%2Fb", put({ reason: "loud", untilMs }))).toMatchObject({
        status: 200,
        body: { kind: "clientId", value: "a/b", by: "admin", untilMs }
      })
      yield* api("/bans/address/10.0.0.0%2F8", put({}))
      expect((yield* api("/bans")).body).toHaveLength(2)
      expect(yield* api("/bans/planet/mars", put({}))).toMatchObject({ status: 400 })
      expect((yield* api("/bans/clientId/a%2Fb", { method: "DELETE" })).status).toBe(204)
      expect((yield* api("/bans")).body).toHaveLength(1)
    }).pipe(Effect.provide(layer()))
  )
})

describe("topics", () => {
  it.scoped("are made once, changed and deleted", () =>
    Effect.gen(function* () {
      const made = yield* api("/topics/sensors", put({ partitions: 2, mqttFilter: "sensors/#", retentionMs: 1000 }))
      expect(made).toMatchObject({ status: 201, body: { name: "sensors", partitions: 2, engine: "file", durability: "fsync" } })
      expect(yield* api("/topics/sensors", put({}))).toMatchObject({ status: 409, body: { error: "TopicExists" } })
      const altered = yield* api("/topics/sensors", { method: "PATCH", body: { retentionMs: null, partitions: 3 } })
      expect(altered.body).toMatchObject({ partitions: 3 })
      expect(altered.body.retentionMs).toBeUndefined()
      expect(yield* api("/topics/sensors", { method: "PATCH", body: { partitions: 1 } })).toMatchObject({ status: 400 })
      expect((yield* api("/topics")).body.map((topic: { name: string }) => topic.name)).toEqual(["sensors"])
      expect((yield* api("/topics/sensors", { method: "DELETE" })).status).toBe(204)
      expect((yield* api("/topics/sensors")).status).toBe(404)
      expect(yield* api("/topics/x?tenant=other", put({}))).toMatchObject({ status: 404, body: { error: "UnknownTenant" } })
    }).pipe(Effect.provide(layer()))
  )
})

/** The answer once it is as wanted; the last one where it never is. */
const eventually = (path: string, wanted: (answer: Answer) => boolean) =>
  Effect.gen(function* () {
    let answer = yield* api(path)
    for (let left = 5000; left > 0 && !wanted(answer); left--) answer = yield* api(path)
    return answer
  })

/** The end of the partition once two looks at it agree: nothing is on its way any more. */
const settledEnd = Effect.gen(function* () {
  let before = -1
  const settled = ({ body }: Answer) => {
    const same = body[0].endOffset === before
    before = body[0].endOffset
    return same
  }
  return (yield* eventually("/topics/sensors/partitions", settled)).body[0].endOffset as number
})

describe("what topics hold", () => {
  it.scoped("is told by partition, read from an offset on, and gone with the topic", () =>
    Effect.gen(function* () {
      const space = yield* Effect.flatMap(Messaging, (messaging) => messaging.space("default"))
      const bound = { engine: "memory", durability: "os", mqttFilter: "sensors/#" }
      yield* api("/topics/sensors", put(bound))
      expect((yield* api("/topics/sensors/partitions")).body).toMatchObject([{ partition: 0, startOffset: 0, endOffset: 0 }])
      const bindingStores = ({ body }: Answer) => {
        space.publish(message("sensors/1", "warm up", false))
        return body[0].endOffset > 0
      }
      yield* eventually("/topics/sensors/partitions", bindingStores)
      const first = yield* settledEnd
      for (const payload of ["one", "two", "three"]) space.publish(message("sensors/2", payload, false))
      yield* eventually("/topics/sensors/partitions", ({ body }) => body[0].endOffset === first + 3)
      const { body } = yield* api(`/topics/sensors/records?from=${first + 1}&limit=1`)
      expect(body).toMatchObject({ nextOffset: first + 2, endOffset: first + 3 })
      expect(body.records).toEqual([
        {
          offset: first + 1,
          timestampMs: 1000,
          key: "sensors/2",
          publisher: "publisher",
          payloadBase64: Buffer.from("two").toString("base64")
        }
      ])
      expect((yield* api(`/topics/sensors/records?from=${first + 3}`)).body).toMatchObject({ records: [], nextOffset: first + 3 })
      expect((yield* api("/topics/sensors/records?partition=1")).status).toBe(400)
      expect((yield* api("/topics/sensors/records?limit=0")).status).toBe(400)
      expect((yield* api("/topics/nothing/records")).status).toBe(404)
      expect((yield* api("/topics/sensors", { method: "DELETE" })).status).toBe(204)
      yield* api("/topics/sensors", put({ ...bound, mqttFilter: undefined }))
      expect((yield* api("/topics/sensors/partitions")).body).toMatchObject([{ endOffset: 0, sizeBytes: 0 }])
    }).pipe(Effect.provide(layer()))
  )
})

describe("sessions and subscriptions", () => {
  it.scoped("are listed by prefix and connection, up to a limit", () =>
    Effect.gen(function* () {
      const all = yield* api("/sessions")
      expect(all.body).toMatchObject({ more: false, sessions: [{ clientId: "here", connected: true }, { clientId: "away" }] })
      expect(all.body.sessions[1]).toMatchObject({ connected: false, address: null, sinceMs: 2000, protocolVersion: "5.0" })
      expect((yield* api("/sessions?limit=1")).body).toMatchObject({ more: true, sessions: [{ clientId: "here" }] })
      expect((yield* api("/sessions?connected=false")).body.sessions).toHaveLength(1)
      expect((yield* api("/sessions?prefix=aw")).body.sessions).toMatchObject([{ clientId: "away" }])
      expect((yield* api("/sessions?limit=0")).status).toBe(400)
      expect((yield* api("/sessions?tenant=other")).status).toBe(404)
      expect((yield* api("/sessions/here")).body.subscriptionList).toHaveLength(2)
      expect((yield* api("/sessions/nobody")).status).toBe(404)
      expect((yield* api("/subscriptions?filter=a%2F%23")).body.subscriptions).toHaveLength(2)
      expect((yield* api("/subscriptions?clientId=away&limit=1")).body).toMatchObject({ more: true })
      expect((yield* api("/slow-subscribers")).body).toEqual([
        { clientId: "here", topic: "a/b", latencyMs: 900, deliveries: 2, lastAtMs: 1000 }
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("have names of any length in a path, up to what a request may be", () =>
    Effect.gen(function* () {
      const named = (name: string) => api(`/sessions/${encodeURIComponent(name)}`)
      for (const name of ["x".repeat(101), "\u6c34".repeat(4096)]) {
        expect(yield* named(name)).toMatchObject({ status: 404, body: { message: expect.stringContaining(name) } })
      }
      const user = "u".repeat(256)
      expect((yield* api(`/users/${user}`, put({ password: "secret" }))).status).toBe(201)
      expect((yield* api(`/users/${user}`)).body).toMatchObject({ name: user })
      expect((yield* api(`/sessions/${"x".repeat(64 * 1024)}`)).status).toBe(431)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("are kicked and deleted", () =>
    Effect.gen(function* () {
      expect((yield* api("/sessions/here/kick", { method: "POST" })).status).toBe(204)
      expect(yield* api("/sessions/away/kick", { method: "POST" })).toMatchObject({
        status: 409,
        body: { error: "NotConnected" }
      })
      expect((yield* api("/sessions/nobody/kick", { method: "POST" })).status).toBe(404)
      expect((yield* api("/sessions/away", { method: "DELETE" })).status).toBe(204)
      expect((yield* api("/sessions/away", { method: "DELETE" })).status).toBe(404)
    }).pipe(Effect.provide(layer()))
  )
})

const message = (topic: string, payload: string, retain: boolean) => {
  const bytes = Buffer.from(payload)
  return new Message(topic, bytes, 0, bytes.length, 1, retain, undefined, 1000, 0, "publisher", undefined)
}

describe("retained and delayed messages", () => {
  it.scoped("are listed, shown and deleted", () =>
    Effect.gen(function* () {
      const space = yield* (yield* Messaging).space("default")
      for (const topic of ["a/1", "a/2", "b"]) space.publish(message(topic, `of ${topic}`, true))
      const list = yield* api("/retained?filter=a%2F%2B")
      expect(list.body.messages.map((each: { topic: string }) => each.topic).sort()).toEqual(["a/1", "a/2"])
      expect((yield* api("/retained?limit=2")).body).toMatchObject({ more: true })
      expect(yield* api("/retained?filter=a%2F%23%2Fb")).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining("#") }
      })
      const one = (yield* api("/retained/a%2F1")).body
      expect(one).toMatchObject({ topic: "a/1", qos: 1, payloadBytes: 6, publisher: "publisher", expiresAtMs: null })
      expect(Buffer.from(one.payloadBase64, "base64").toString()).toBe("of a/1")
      expect((yield* api("/retained/a%2F1", { method: "DELETE" })).status).toBe(204)
      expect((yield* api("/retained/a%2F1")).status).toBe(404)
      expect((yield* api("/retained/a%2F1", { method: "DELETE" })).status).toBe(404)
      expect((yield* api("/retained?tenant=other")).status).toBe(404)

      const id = space.delayed.schedule(message("later", "x", false), Date.now() + 3_600_000, undefined, 0)
      const waiting = (yield* api("/delayed")).body
      expect(waiting).toMatchObject({ more: false, messages: [{ id, topic: "later" }] })
      expect((yield* api(`/delayed/${id}`, { method: "DELETE" })).status).toBe(204)
      expect((yield* api(`/delayed/${id}`, { method: "DELETE" })).status).toBe(404)
    }).pipe(Effect.provide(layer()))
  )
})

describe("config, status, alarms", () => {
  it.scoped("config shows every key and no secret", () =>
    Effect.gen(function* () {
      const headers = { authorization: "Bearer hush" }
      const entries = (yield* api("/config", { headers })).body
      expect(entries.find((entry: { key: string }) => entry.key === "mqtt.tcp.port")).toMatchObject({
        value: 1883,
        source: "default"
      })
      expect(JSON.stringify(entries)).not.toContain("hush")
      expect((yield* api("/config/node.id", { headers })).body.value).toBe(1)
      expect((yield* api("/config/nothing", { headers })).status).toBe(404)
      expect(yield* api("/config/node.id", { headers, method: "PUT", body: { value: 2 } })).toMatchObject({
        status: 409,
        body: { error: "ReadAtStart", message: expect.stringContaining("EFFECTMQ_NODE_ID") }
      })
      expect((yield* api("/status", { headers })).body).toMatchObject({ nodeId: 1, phase: "starting", authentication: "open" })
      expect((yield* api("/alarms", { headers })).body).toEqual({ active: [], history: [] })
    }).pipe(Effect.provide(layer({ "admin.token": "hush" })))
  )
})

/**
 * The admin server and those who mean it no good: slow, silent, or with more in a request than anybody needs.
 */
import { describe, expect, it } from "@effect/vitest"
import { createConnection, type Socket } from "node:net"
import { settingsWith } from "@effectmq/schemas/config/Settings"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as AdminApi from "../src/admin/AdminApi.js"
import * as AdminServer from "../src/admin/AdminServer.js"
import { api, layer, parts } from "./adminHarness.js"

const quick = { headersMs: 50, requestMs: 100, closeMs: 50 }

const impatient = AdminApi.layer.pipe(
  Layer.provideMerge(AdminServer.layer({ host: "127.0.0.1", port: 0, token: undefined, metrics: true, timeouts: quick })),
  Layer.provideMerge(parts(settingsWith({ "admin.http.port": 0 })))
)

/** What came on a connection until its end. */
const said = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    socket.on("data", (chunk) => {
      text += chunk
    })
    socket.on("error", () => undefined)
    socket.on("close", () => resolve(text))
  })

const connected = (port: number, text: string): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" }, () => socket.write(text, () => resolve(socket)))
  })

describe("slow clients of the admin server", () => {
  it.scoped("are sent away, in the head of a request as in its body", () =>
    Effect.gen(function* () {
      const { port } = yield* AdminServer.AdminServer
      const head = "PUT /api/v1/users/alice HTTP/1.1\r\nHost: 127.0.0.1\r\n"
      for (const part of [head, `${head}Content-Length: 100\r\n\r\n{`]) {
        const socket = yield* Effect.promise(() => connected(port, part))
        expect(yield* Effect.promise(() => said(socket))).toMatch(/^(HTTP\/1\.1 408 |$)/)
      }
    }).pipe(Effect.provide(impatient))
  )

  for (const [title, text] of [
    ["says nothing", ""],
    ["has begun a request", "GET /health/live HTTP/1.1\r\n"],
    ["has begun a body", "PUT /api/v1/users/alice HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"]
  ] as const) {
    it.live(`one that ${title} does not hold up the end`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const patient = { ...AdminServer.defaultAdminTimeouts, closeMs: 50 }
        const server = AdminServer.layer({ host: "127.0.0.1", port: 0, token: undefined, metrics: true, timeouts: patient })
        const whole = AdminApi.layer.pipe(Layer.provideMerge(server), Layer.provideMerge(parts(settingsWith({}))))
        const context = yield* Layer.buildWithScope(whole, scope)
        const { port } = yield* Effect.provide(AdminServer.AdminServer, context)
        const socket = yield* Effect.promise(() => connected(port, text))
        const end = Effect.promise(() => said(socket))
        yield* Effect.all([Scope.close(scope, Exit.void), end], { concurrency: "unbounded" })
      })
    )
  }
})

describe("requests with too much in them", () => {
  it.scoped("are refused in words", () =>
    Effect.gen(function* () {
      const put = (body: string) => api("/users/alice", { method: "PUT", body })
      const deep = yield* put(`${"[".repeat(400_000)}${"]".repeat(400_000)}`)
      expect(deep).toMatchObject({ status: 400, body: { error: "BadRequest" } })
      const inherited = yield* put('{"password":"x","__proto__":{"superuser":true}}')
      expect(inherited).toMatchObject({ status: 400, body: { message: expect.stringContaining("__proto__") } })
      for (const path of ["/users/..%2f..%2fetc%2fpasswd", "/topics/..%2f..%2fx", "/users/%00", "/users/%ff", "/users/%"]) {
        expect((yield* api(path)).status, path).toBe(404)
      }
      expect((yield* api("/tenants/..%2fevil", { method: "PUT", body: "{}" })).status).toBe(400)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("do not have a password told back", () =>
    Effect.gen(function* () {
      for (const password of ["", "s3cret".repeat(1000)]) {
        const refused = yield* api("/users/alice", { method: "PUT", body: { password } })
        expect(refused).toMatchObject({
          status: 400,
          body: { message: "password: expected a text of 1 to 1024 characters" }
        })
      }
    }).pipe(Effect.provide(layer()))
  )
})

describe("a tenant that is not there", () => {
  it.scoped("has no users, rules, bans, topics or sessions, not even none", () =>
    Effect.gen(function* () {
      for (const path of [
        "users",
        "users/alice",
        "acl",
        "bans",
        "topics",
        "sessions",
        "retained",
        "delayed",
        "slow-subscribers"
      ]) {
        const answer = yield* api(`/${path}?tenant=nowhere`)
        expect(answer, path).toMatchObject({ status: 404, body: { message: "there is no tenant nowhere" } })
      }
      const put = yield* api("/users/alice?tenant=nowhere", { method: "PUT", body: { password: "x" } })
      expect(put.status).toBe(404)
    }).pipe(Effect.provide(layer()))
  )
})

/**
 * `/config` of the admin API: what holds and why, changes for the whole cluster, and what is refused.
 */
import { describe, expect, it } from "@effect/vitest"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { keyNames } from "@effectmq/schemas/config/Settings"
import * as Effect from "effect/Effect"
import { api, auditEvents, layer } from "./adminHarness.js"

const put = (value: unknown) => ({ method: "PUT", body: { value } })

const store = (key: string, value: string | number | boolean) =>
  Effect.gen(function* () {
    yield* (yield* Controller).submit({ _tag: "SetConfig", ...(yield* stamp), key, value })
  })

describe("config", () => {
  it.scoped("sets and unsets a dynamic key", () =>
    Effect.gen(function* () {
      expect((yield* api("/config/mqtt.maximumQos")).body).toMatchObject({ value: 2, source: "default", dynamic: true })
      const set = yield* api("/config/mqtt.maximumQos", put(1))
      expect(set).toMatchObject({ status: 200, body: { key: "mqtt.maximumQos", value: 1, source: "dynamic" } })
      expect(set.body.hidden).toEqual({ value: 2, source: "default" })
      expect((yield* api("/config/mqtt.maximumQos")).body).toEqual(set.body)
      const unset = yield* api("/config/mqtt.maximumQos", { method: "DELETE" })
      expect(unset).toMatchObject({ status: 200, body: { value: 2, source: "default" } })
      expect(unset.body.hidden).toBeUndefined()
      const again = yield* api("/config/mqtt.maximumQos", { method: "DELETE" })
      expect(again).toMatchObject({ status: 404, body: { error: "UnknownConfig" } })
      const changes = auditEvents.flatMap((event) => (event.kind === "admin-change" ? [`${event.change} ${event.target}`] : []))
      expect(changes.slice(-2)).toEqual(["config-set mqtt.maximumQos", "config-unset mqtt.maximumQos"])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("sets lists, and refuses rules that cannot be used", () =>
    Effect.gen(function* () {
      const rule = { action: "publish", source: "x/#", regex: "^x/(.+)$", dest: "y/$1" }
      expect((yield* api("/config/mqtt.rewrite", put([rule]))).body.value).toEqual([rule])
      const wrong = yield* api("/config/mqtt.rewrite", put([rule, { ...rule, dest: "y/#" }]))
      expect(wrong.status).toBe(400)
      expect(wrong.body.message).toContain("mqtt.rewrite[1]: dest has a wildcard")
      expect((yield* api("/config/mqtt.rewrite")).body.value).toEqual([rule])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("names key, value and what was expected", () =>
    Effect.gen(function* () {
      const refused = (key: string, body: unknown) =>
        Effect.map(api(`/config/${key}`, { method: "PUT", body }), (answer) => answer)
      expect(yield* refused("mqtt.maximumQos", { value: 3 })).toMatchObject({
        status: 400,
        body: { error: "BadRequest", message: "mqtt.maximumQos = 3 (dynamic): expected one of 0, 1, 2" }
      })
      expect(yield* refused("mqtt.maximumQoz", { value: 1 })).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining("did you mean mqtt.maximumQos?") }
      })
      expect((yield* refused("mqtt.maximumQos", { value: null })).status).toBe(400)
      expect((yield* refused("mqtt.maximumQos", {})).status).toBe(400)
      expect((yield* refused("mqtt.maximumQos", { wish: 1 })).status).toBe(400)
      expect((yield* refused("mqtt.responseInformation", { value: "x".repeat(100_000) })).status).toBe(400)
      const atStart = yield* refused("data.dir", { value: "/elsewhere" })
      expect(atStart).toMatchObject({ status: 409, body: { error: "ReadAtStart" } })
      expect(atStart.body.message).toMatch(/needs a restart: set it in the file, as EFFECTMQ_DATA_DIR or with --set/)
      const shards = yield* refused("mqtt.log.shards", { value: 4 })
      expect(shards.body.message).toMatch(
        /a log is made with so many shards and keeps them.*Logs that are there stay as they are/
      )
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("keeps what a newer version wrote, tells it, and lets it be taken away", () =>
    Effect.gen(function* () {
      yield* store("mqtt.someday", 7)
      yield* store("mqtt.maximumQos", "many")
      yield* store("node.id", 9)
      const entries: ReadonlyArray<{ key: string; problem?: string }> = (yield* api("/config")).body
      expect(entries).toHaveLength(keyNames.length + 1)
      const problems = entries.flatMap(({ key, problem }) => (problem === undefined ? [] : [[key, problem]]))
      expect(Object.fromEntries(problems)).toEqual({
        "mqtt.someday": expect.stringContaining("expected a known key"),
        "mqtt.maximumQos": expect.stringContaining("expected one of 0, 1, 2"),
        "node.id": expect.stringContaining("read when a node starts")
      })
      expect((yield* api("/config/mqtt.maximumQos")).body).toMatchObject({ value: 2, source: "default" })
      expect((yield* api("/config/log.level", put("warn"))).status).toBe(200)
      expect(yield* api("/config/mqtt.someday", { method: "DELETE" })).toMatchObject({ status: 200, body: null })
      expect((yield* api("/config/node.id", { method: "DELETE" })).body).toMatchObject({ value: 1, source: "default" })
      expect((yield* api("/config")).body).toHaveLength(keyNames.length)
    }).pipe(Effect.provide(layer()))
  )
})

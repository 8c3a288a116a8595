import * as Log from "@effectmq/metrics/Log"
import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { Audit, type AuditEvent } from "../src/Audit.js"
import * as AuditLog from "../src/AuditLog.js"

const failed: AuditEvent = {
  kind: "login-failed",
  subject: { tenant: "default", user: "anna", clientId: "c\n1", address: "127.0.0.1" },
  reason: "bad-credentials"
}

it.effect("AuditLog writes a bounded number of lines, and says what it left out", () => {
  const lines: Array<string> = []
  const log = Log.layer({ format: "json", write: (line) => lines.push(line) })
  return Effect.gen(function* () {
    const audit = yield* Audit
    const meters = yield* Meters
    for (let i = 0; i < 10; i++) audit.record(failed)
    expect(lines).toHaveLength(3)
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      level: "warn",
      message: "audit: login-failed",
      annotations: { audit: { subject: { user: "anna", clientId: "c\n1" }, reason: "bad-credentials" } }
    })
    // Another kind has its own allowance, and what people change is always written.
    for (let i = 0; i < 5; i++) {
      audit.record({ kind: "admin-change", tenant: "default", by: "root", change: "user-put", target: "anna" })
    }
    expect(lines).toHaveLength(8)
    yield* TestClock.adjust(1000)
    audit.record(failed)
    expect(lines).toHaveLength(9)
    expect(JSON.parse(lines[8] as string).annotations.leftOutBefore).toBe(7)
    expect(meters.snapshot().get('effectmq_audit_events_total{kind="login-failed"}')).toBe(11)
    expect(meters.snapshot().get('effectmq_audit_left_out_total{kind="login-failed"}')).toBe(7)
  }).pipe(
    Effect.provide(
      AuditLog.layer({ linesPerSecond: 1, burst: 3 }).pipe(Layer.provideMerge(PrometheusMeters.layerMemory), Layer.provide(log))
    )
  )
})

it.effect("layerMemory keeps the newest, layerNone nothing", () => {
  const events: Array<AuditEvent> = []
  const record = (times: number) =>
    Effect.map(Audit, (audit) => {
      for (let i = 0; i < times; i++) audit.record(failed)
    })
  return Effect.gen(function* () {
    yield* Effect.provide(record(5), AuditLog.layerMemory(events, 3))
    expect(events).toHaveLength(3)
    yield* Effect.provide(record(1), AuditLog.layerNone)
    expect(events).toHaveLength(3)
  })
})

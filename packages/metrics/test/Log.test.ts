import { describe, expect, it } from "@effect/vitest"
import { LiveCell } from "@effectmq/schemas/config/Live"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as FastCheck from "fast-check"
import { isSecretKey, jsonLine, type LogEvent, textLine } from "../src/core/LogLine.js"
import * as Log from "../src/Log.js"

const event = (parts: Partial<LogEvent>): LogEvent => ({
  timeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  level: "info",
  message: [],
  annotations: {},
  spansMs: {},
  cause: undefined,
  ...parts
})

const written = (program: Effect.Effect<unknown>, options: Log.LogOptions) => {
  const lines: Array<string> = []
  return program.pipe(Effect.provide(Log.layer({ ...options, write: (line) => lines.push(line) })), Effect.as(lines))
}

describe("Log", () => {
  it.effect("writes one JSON object per event", () =>
    Effect.gen(function* () {
      const lines = yield* written(
        Effect.logWarning("client\nleft", { code: 142 }).pipe(
          Effect.annotateLogs({ clientId: "c1", password: "hunter2" }),
          Effect.withLogSpan("takeover")
        ),
        { format: "json" }
      )
      expect(lines).toHaveLength(1)
      expect(JSON.parse(lines[0] as string)).toEqual({
        time: "1970-01-01T00:00:00.000Z",
        level: "warn",
        message: "client\nleft",
        details: { code: 142 },
        annotations: { clientId: "c1", password: "[redacted]" },
        spansMs: { takeover: expect.any(Number) }
      })
    })
  )

  it.effect("keeps to the level", () =>
    Effect.gen(function* () {
      const program = Effect.all([Effect.logDebug("d"), Effect.logInfo("i"), Effect.logError("e")])
      expect(yield* written(program, { level: "error" })).toHaveLength(1)
      expect(yield* written(program, {})).toHaveLength(2)
      expect(yield* written(program, { level: "debug" })).toHaveLength(3)
      expect(yield* written(program, { level: "none" })).toHaveLength(0)
    })
  )

  it.effect("follows a level that changes", () =>
    Effect.gen(function* () {
      const level = new LiveCell<Log.Level>("warn")
      const change = (to: Log.Level) => Effect.sync(() => level.set(to))
      const both = Effect.zipRight(Effect.logDebug("d"), Effect.logInfo("i"))
      const program = Effect.all([both, change("debug"), both, change("info"), both, change("none"), Effect.logFatal("f")])
      expect(yield* written(program, { level })).toHaveLength(3)
    })
  )

  it.effect("prints causes", () =>
    Effect.gen(function* () {
      const failing = Effect.fail(new Error("disk full")).pipe(Effect.catchAllCause((cause) => Effect.logError("append", cause)))
      const [line] = yield* written(failing, { format: "json" })
      expect(JSON.parse(line as string).cause).toContain("disk full")
      const [text] = yield* written(failing, { format: "text" })
      expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} error append\n {4}Error: disk full/)
    })
  )
})

describe("LogLine", () => {
  it("is readable in a terminal", () => {
    expect(
      textLine(event({ message: ["listening", { on: 1 }], annotations: { port: 1883, name: "a b", list: [1] } }), false)
    ).toBe('03:04:05.678 info  listening {"on":1} port=1883 name="a b" list=[1]')
    expect(textLine(event({ message: ["x"] }), true)).toContain("\u001b[32minfo")
  })

  it("never prints a secret", () => {
    const secret = "hunter2hunter2"
    const shapes: ReadonlyArray<unknown> = [
      { password: secret },
      { user: { passwordHash: secret, nested: [{ accessToken: secret }] } },
      new Map([["apiKey", secret]]),
      { bytes: Buffer.from(secret) },
      { value: Redacted.make(secret) },
      { url: `amqp://user:${secret}@host/x` },
      Object.assign(new Error("failed"), { password: secret })
    ]
    for (const shape of shapes) {
      for (const line of [
        jsonLine(event({ message: ["m", shape], annotations: { shape, secret } })),
        textLine(event({ message: ["m", shape], annotations: { shape, secret } }), false)
      ]) {
        expect(line).not.toContain(secret)
      }
    }
    for (const key of [
      "password",
      "Password",
      "tls.keyPassphrase",
      "sharedSecret",
      "jwtToken",
      "privateKey",
      "Authorization",
      "storedKey"
    ]) {
      expect(isSecretKey(key), key).toBe(true)
    }
    for (const key of ["clientId", "topic", "bypass_count", "key", "keepAlive"]) expect(isSecretKey(key), key).toBe(false)
  })

  it("survives what cannot be printed", () => {
    const circle: Record<string, unknown> = {}
    circle["self"] = circle
    const hostile = {
      get boom() {
        throw new Error("boom")
      }
    }
    const line = jsonLine(event({ message: [circle, hostile, Symbol("s"), 1n, Number.NaN, "x".repeat(10_000), null, undefined] }))
    expect(() => JSON.parse(line)).not.toThrow()
    expect(line.length).toBeLessThan(10_000)
    expect(jsonLine(event({ message: [Array.from({ length: 1000 }, (_, i) => i)] }))).toContain("... (1000 items)")
  })

  it("is one line of valid JSON whatever the texts are, and no control character reaches a terminal", () => {
    const text = FastCheck.string({ unit: "binary", maxLength: 20 })
    FastCheck.assert(
      FastCheck.property(text, text, FastCheck.jsonValue(), (message, key, value) => {
        const logged = event({ message: [message], annotations: { [key]: value } })
        const json = jsonLine(logged)
        expect(JSON.parse(json).level).toBe("info")
        expect(json).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        expect(textLine(logged, false)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202e]/)
      })
    )
  })
})

import { Controller, type ControllerService } from "@effectmq/metadata/Controller"
import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FastCheck from "fast-check"
import type { AuditEvent } from "../src/Audit.js"
import * as AuditLog from "../src/AuditLog.js"
import { type BanQuestion, Bans, layer as bansLayer } from "../src/Bans.js"
import { BanTable, matchesPattern } from "../src/core/BanTable.js"
import { FlappingTable } from "../src/core/FlappingTable.js"
import { FlappingDetector, layer as flappingLayer, layerOff } from "../src/FlappingDetector.js"
import { TestMetadata } from "./support/TestMetadata.js"

const question = (parts: Partial<BanQuestion> = {}): BanQuestion => ({
  tenant: "default",
  user: "anna",
  clientId: "c1",
  address: "192.0.2.7",
  ...parts
})

const baseLayer = (metadata: TestMetadata, audit: Array<AuditEvent>, bansHereMax = 100) =>
  bansLayer({ bansHereMax }).pipe(
    Layer.provideMerge(Layer.mergeAll(metadata.layer, AuditLog.layerMemory(audit), PrometheusMeters.layerMemory))
  )

describe("Bans", () => {
  it.effect("finds bans by user, client, pattern and address, until their end", () => {
    const metadata = new TestMetadata()
    const audit: Array<AuditEvent> = []
    metadata.putBan({ kind: "user", value: "mallory" })
    return Effect.gen(function* () {
      const bans = yield* Bans
      const meters = yield* Meters
      const banned = (parts: Partial<BanQuestion>, nowMs = 0) => bans.banned(question(parts), nowMs)?.value
      expect(banned({})).toBeUndefined()
      expect(banned({ user: "mallory" })).toBe("mallory")
      metadata.putBan({ kind: "clientId", value: "bad", untilMs: 1000 })
      expect(banned({ clientId: "bad" }, 999)).toBe("bad")
      expect(banned({ clientId: "bad" }, 1000)).toBeUndefined()
      metadata.putBan({ kind: "clientId", value: "bad", untilMs: 2000 })
      expect(banned({ clientId: "bad" }, 1000)).toBe("bad")
      metadata.putBan({ kind: "pattern", value: "bot-?-*" })
      expect(banned({ clientId: "bot-1-x" })).toBe("bot-?-*")
      expect(banned({ clientId: "bot-12-x" })).toBeUndefined()
      metadata.putBan({ kind: "address", value: "10.0.0.0/8" })
      metadata.putBan({ kind: "address", value: "2001:db8::1" })
      expect(banned({ address: "10.9.8.7" })).toBe("10.0.0.0/8")
      expect(banned({ address: "::ffff:10.9.8.7" })).toBe("10.0.0.0/8")
      expect(banned({ address: "2001:DB8:0::1" })).toBe("2001:db8::1")
      expect(banned({ address: "2001:db8::2" })).toBeUndefined()
      expect(banned({ address: "nonsense" })).toBeUndefined()
      // Before a client has said who it is, its address is known.
      expect(banned({ user: undefined, clientId: undefined, address: "10.1.1.1" })).toBe("10.0.0.0/8")
      expect(banned({ tenant: "other", user: "mallory", address: "10.1.1.1" })).toBeUndefined()
      metadata.deleteBan("address", "10.0.0.0/8")
      metadata.deleteBan("user", "mallory")
      expect(banned({ address: "10.9.8.7" })).toBeUndefined()
      expect(banned({ user: "mallory" })).toBeUndefined()
      expect(audit.every((event) => event.kind === "refused-banned")).toBe(true)
      expect(meters.snapshot().get("effectmq_banned_connections_total")).toBe(audit.length)
    }).pipe(Effect.provide(baseLayer(metadata, audit)))
  })

  it.effect("bans of this node hold at once, end, and are bounded", () =>
    Effect.gen(function* () {
      const bans = yield* Bans
      const here = (clientId: string, untilMs: number) => bans.banHere({ tenant: "default", clientId, reason: "r", untilMs })
      const banned = (clientId: string, nowMs: number) => bans.banned(question({ clientId }), nowMs) !== undefined
      here("a", 100)
      expect(banned("a", 99)).toBe(true)
      expect(banned("a", 100)).toBe(false)
      for (const clientId of ["b", "c", "d"]) here(clientId, 1000)
      expect(["b", "c", "d"].map((clientId) => banned(clientId, 0))).toEqual([false, true, true])
    }).pipe(Effect.provide(baseLayer(new TestMetadata(), [], 2)))
  )

  it.effect("bans of this node give way to what the metadata say of the same client id", () => {
    const metadata = new TestMetadata()
    return Effect.gen(function* () {
      const bans = yield* Bans
      const here = (clientId: string) => bans.banHere({ tenant: "default", clientId, reason: "r", untilMs: 1000 })
      const banned = (clientId: string, nowMs = 0) => bans.banned(question({ clientId }), nowMs) !== undefined
      for (const clientId of ["lifted", "shortened", "not-written"]) here(clientId)
      for (const value of ["lifted", "shortened"]) metadata.putBan({ kind: "clientId", value, untilMs: 1000 })
      metadata.putBan({ kind: "user", value: "not-written" })
      expect(["lifted", "shortened", "not-written"].map((clientId) => banned(clientId))).toEqual([true, true, true])
      metadata.deleteBan("clientId", "lifted")
      metadata.putBan({ kind: "clientId", value: "shortened", untilMs: 10 })
      metadata.deleteBan("user", "not-written")
      expect(banned("lifted")).toBe(false)
      expect([banned("shortened", 9), banned("shortened", 10)]).toEqual([true, false])
      expect(banned("not-written")).toBe(true)
    }).pipe(Effect.provide(baseLayer(metadata, [])))
  })
})

describe("BanTable", () => {
  it("a pattern matches as its regular expression does", () => {
    const piece = FastCheck.array(FastCheck.constantFrom("a", "b", "*", "?", "."), { maxLength: 8 }).map((parts) =>
      parts.join("")
    )
    const subject = FastCheck.array(FastCheck.constantFrom("a", "b", "."), { maxLength: 10 }).map((parts) => parts.join(""))
    FastCheck.assert(
      FastCheck.property(piece, subject, (pattern, text) => {
        const source = pattern.replace(/\./g, "\\.").replace(/\*/g, ".*").replace(/\?/g, ".")
        expect(matchesPattern(pattern, text)).toBe(new RegExp(`^${source}$`).test(text))
      }),
      { numRuns: 5000 }
    )
  })

  it("puts, replaces, deletes and prunes as a list does", () => {
    const kind = FastCheck.constantFrom("user" as const, "clientId" as const, "pattern" as const, "address" as const)
    const value = FastCheck.constantFrom("a", "a*", "10.0.0.1", "10.0.0.0/8", "::ffff:10.0.0.1", "::1")
    const ban = FastCheck.record({
      kind,
      value,
      reason: FastCheck.constant("r"),
      untilMs: FastCheck.option(FastCheck.nat(10), { nil: undefined })
    })
    const step = FastCheck.oneof(
      FastCheck.record({ put: ban }),
      FastCheck.record({ delete: FastCheck.record({ kind, value }) }),
      FastCheck.record({ pruneMs: FastCheck.nat(10) })
    )
    const asked = FastCheck.record({
      user: FastCheck.constantFrom("a", undefined),
      clientId: FastCheck.constantFrom("a", "ab", undefined),
      address: FastCheck.constantFrom("10.0.0.1", "10.0.0.2", "::1", "::2")
    })
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 15 }), asked, (steps, subject) => {
        const table = new BanTable()
        const plain = new Map<string, { kind: string; value: string; untilMs: number | undefined }>()
        for (const one of steps) {
          if ("put" in one) {
            table.put(one.put)
            plain.set(`${one.put.kind} ${one.put.value}`, one.put)
          } else if ("delete" in one) {
            table.delete(one.delete.kind, one.delete.value)
            plain.delete(`${one.delete.kind} ${one.delete.value}`)
          } else {
            table.prune(one.pruneMs)
            for (const [key, entry] of plain) if ((entry.untilMs ?? 99) <= one.pruneMs) plain.delete(key)
          }
        }
        const nowMs = 5
        const expected = [...plain.values()].some((entry) => {
          if ((entry.untilMs ?? 99) <= nowMs) return false
          if (entry.kind === "user") return entry.value === subject.user
          if (entry.kind === "clientId") return entry.value === subject.clientId
          if (entry.kind === "pattern") return subject.clientId !== undefined && matchesPattern(entry.value, subject.clientId)
          if (entry.value === "10.0.0.0/8") return subject.address.startsWith("10.")
          return entry.value.replace("::ffff:", "") === subject.address
        })
        expect(table.find(subject, nowMs) !== undefined).toBe(expected)
      }),
      { numRuns: 2000 }
    )
  })
})

describe("FlappingTable", () => {
  it("bans the connect after the last that is let be, within the window", () => {
    const table = new FlappingTable({ connectsMax: 3, windowMs: 100, clientsMax: 10 })
    expect([0, 1, 2, 3].map((nowMs) => table.connected("a", nowMs))).toEqual([false, false, false, true])
    // The count begins anew.
    expect([4, 5, 6].map((nowMs) => table.connected("a", nowMs))).toEqual([false, false, false])
    // The window is over, and so is one that a clock set back.
    expect([104, 105, 106, 50, 51].map((nowMs) => table.connected("a", nowMs))).toEqual([false, false, false, false, false])
  })

  it("never bans a client that keeps to the limit, and stays bounded", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.tuple(FastCheck.constantFrom("a", "b", "c", "d", "e"), FastCheck.nat(30)), { maxLength: 60 }),
        (connects) => {
          const table = new FlappingTable({ connectsMax: 2, windowMs: 50, clientsMax: 3 })
          const timesByClient = new Map<string, Array<number>>()
          let nowMs = 0
          for (const [client, laterMs] of connects) {
            nowMs += laterMs
            const times = timesByClient.get(client) ?? []
            timesByClient.set(client, [...times, nowMs])
            const within = [...times, nowMs].filter((atMs) => nowMs - atMs < 50)
            if (table.connected(client, nowMs)) expect(within.length).toBeGreaterThan(2)
            expect(table.size).toBeLessThanOrEqual(3)
          }
        }
      )
    )
  })
})

describe("FlappingDetector", () => {
  const options = { connectsMax: 2, windowSeconds: 60, banSeconds: 300 }

  const detecting = (submit: (command: MetadataCommand) => Effect.Effect<unknown, unknown>) => {
    const audit: Array<AuditEvent> = []
    const controller = Layer.succeed(Controller, { submit } as unknown as ControllerService)
    return {
      audit,
      layer: flappingLayer(options).pipe(Layer.provide(controller), Layer.provideMerge(baseLayer(new TestMetadata(), audit)))
    }
  }

  it.live("bans here at once, and in metadata", () => {
    const commands: Array<MetadataCommand> = []
    const { audit, layer } = detecting((command) => Effect.sync(() => commands.push(command)))
    return Effect.gen(function* () {
      const detector = yield* FlappingDetector
      const bans = yield* Bans
      expect([1, 2, 3].map((nowMs) => detector.connected("default", "c1", nowMs))).toEqual([false, false, true])
      expect(bans.banned(question(), 4)).toMatchObject({ kind: "clientId", value: "c1", untilMs: 300_003 })
      expect(bans.banned(question({ clientId: "c2" }), 4)).toBeUndefined()
      expect(bans.banned(question({ tenant: "other" }), 4)).toBeUndefined()
      yield* Effect.sleep(1).pipe(Effect.repeat({ until: () => commands.length > 0 }))
      expect(commands[0]).toMatchObject({ _tag: "PutBan", kind: "clientId", value: "c1", by: "flapping", untilMs: 300_003 })
      expect(audit[0]).toMatchObject({ kind: "ban-made", ban: "clientId c1" })
    }).pipe(Effect.provide(layer))
  })

  it.live("goes on when metadata cannot be written", () => {
    let tries = 0
    const { layer } = detecting(() => Effect.suspend(() => Effect.fail(`failed ${++tries}`)))
    return Effect.gen(function* () {
      const detector = yield* FlappingDetector
      const bans = yield* Bans
      for (const clientId of ["a", "b"]) for (let i = 0; i < 3; i++) detector.connected("default", clientId, i)
      yield* Effect.sleep(1).pipe(Effect.repeat({ until: () => tries === 2 }))
      expect(bans.banned(question({ clientId: "b" }), 4)).toBeDefined()
    }).pipe(Effect.provide(layer))
  })

  it.effect("layerOff bans nobody", () =>
    Effect.gen(function* () {
      const detector = yield* FlappingDetector
      expect(Array.from({ length: 100 }, () => detector.connected("default", "c", 0))).not.toContain(true)
    }).pipe(Effect.provide(layerOff))
  )
})

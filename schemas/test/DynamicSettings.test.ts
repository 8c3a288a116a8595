import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { atStartGroups, atStartReason } from "../src/config/AtStart.js"
import { contradictions } from "../src/config/Contradictions.js"
import { type Clashes, judgeChange, overlay, type StoredValue } from "../src/config/DynamicSettings.js"
import { isLive, LiveCell, liveOf, sameData } from "../src/config/Live.js"
import { keyNames, type Resolved, resolve } from "../src/config/Settings.js"

const started = (...flags: ReadonlyArray<string>): Resolved => Either.getOrThrow(resolve({ flags }))

const stored = (values: Readonly<Record<string, StoredValue>>) => Object.entries(values)

/** Of two keys that are dynamic: the delay may not be longer than a session lives. */
const longerThanSessions: Clashes = ({ settings, sources }) =>
  settings["mqtt.delayed.secondsMax"] <= settings["mqtt.session.expirySecondsMax"]
    ? []
    : [
        {
          key: "mqtt.delayed.secondsMax",
          source: sources["mqtt.delayed.secondsMax"],
          value: settings["mqtt.delayed.secondsMax"],
          expected: "at most mqtt.session.expirySecondsMax",
          suggestion: undefined
        }
      ]

describe("overlay", () => {
  it("puts what the metadata says over everything else", () => {
    const start = started("log.level=debug", "mqtt.maximumQos=1")
    const { ignored, resolved } = overlay(start, stored({ "log.level": "warn", "mqtt.retainAvailable": false }), contradictions)
    expect(ignored).toEqual([])
    expect(resolved.settings).toMatchObject({ "log.level": "warn", "mqtt.retainAvailable": false, "mqtt.maximumQos": 1 })
    expect(resolved.sources["log.level"].kind).toBe("dynamic")
    expect(resolved.sources["mqtt.maximumQos"].kind).toBe("flag")
    expect(start.settings["log.level"]).toBe("debug")
  })

  it("reads lists from their JSON", () => {
    const rules = [{ action: "all", source: "x/#", regex: "^x/(.+)$", dest: "y/$1" }]
    const { ignored, resolved } = overlay(started(), stored({ "mqtt.rewrite": JSON.stringify(rules) }), contradictions)
    expect(ignored).toEqual([])
    expect(resolved.settings["mqtt.rewrite"]).toEqual(rules)
  })

  it("leaves aside, and tells, what is of another version", () => {
    const values = { "mqtt.maximumQoz": 1, "log.level": "loud", "node.id": 7, "admin.token": "hush", "mqtt.maximumQos": 1 }
    const { ignored, resolved } = overlay(started(), stored(values), contradictions)
    expect(ignored.map(({ key }) => key)).toEqual(["mqtt.maximumQoz", "log.level", "node.id", "admin.token"])
    expect(ignored[0]).toMatchObject({ expected: "a known key", suggestion: "mqtt.maximumQos" })
    expect(JSON.stringify(ignored)).not.toContain("hush")
    expect(resolved.settings).toMatchObject({ "log.level": "info", "node.id": 1, "mqtt.maximumQos": 1 })
  })

  it("leaves aside what does not fit what the node was started with", () => {
    const start = started("mqtt.session.expirySecondsMax=100", "mqtt.delayed.secondsMax=50")
    const values = stored({ "mqtt.delayed.secondsMax": 200, "mqtt.maximumQos": 1 })
    const { ignored, resolved } = overlay(start, values, longerThanSessions)
    expect(ignored).toMatchObject([{ key: "mqtt.delayed.secondsMax", value: 200, source: { kind: "dynamic" } }])
    expect(resolved.settings).toMatchObject({ "mqtt.delayed.secondsMax": 50, "mqtt.maximumQos": 1 })
  })

  it("takes values that fit only together, whatever their order, and names the key that another would break", () => {
    const start = started("mqtt.session.expirySecondsMax=100", "mqtt.delayed.secondsMax=50")
    const both = stored({ "mqtt.delayed.secondsMax": 200, "mqtt.session.expirySecondsMax": 300, "mqtt.maximumQos": 1 })
    for (const order of [both, [...both].reverse()]) expect(overlay(start, order, longerThanSessions).ignored).toEqual([])
    const shorter = overlay(start, stored({ "mqtt.session.expirySecondsMax": 20 }), longerThanSessions)
    expect(shorter.ignored).toMatchObject([
      { key: "mqtt.session.expirySecondsMax", expected: expect.stringContaining("mqtt.delayed.secondsMax is at most") }
    ])
  })
})

describe("judgeChange", () => {
  const change = (name: string, value: unknown, values: Readonly<Record<string, StoredValue>> = {}, clashes = contradictions) =>
    judgeChange(started("mqtt.session.expirySecondsMax=100", "mqtt.delayed.secondsMax=50"), stored(values), clashes, name, value)

  it("gives the value to keep", () => {
    expect(change("mqtt.maximumQos", 1)).toEqual(Either.right(1))
    expect(change("mqtt.maximumQos", "1")).toEqual(Either.right(1))
    expect(change("mqtt.automaticSubscriptions", [{ filter: "a" }])).toEqual(
      Either.right('[{"filter":"a","qos":0,"noLocal":false,"retainAsPublished":false,"retainHandling":0}]')
    )
    expect(change("mqtt.maximumQos", undefined)).toEqual(Either.right(undefined))
  })

  const refusal = (...[name, value, values, clashes]: Parameters<typeof change>): string => {
    const verdict = change(name, value, values, clashes)
    if (Either.isRight(verdict)) throw new Error("it is not refused")
    return verdict.left._tag === "ConfigError" ? verdict.left.message : verdict.left._tag
  }

  it("names key, value and what was expected", () => {
    expect(refusal("mqtt.maximumQos", 3)).toBe("mqtt.maximumQos = 3 (dynamic): expected one of 0, 1, 2")
    expect(refusal("mqtt.maximumQoz", 1)).toContain("expected a known key; did you mean mqtt.maximumQos?")
    expect(refusal("node.id", 3)).toBe("ReadAtStart")
  })

  it("refuses what would not fit together, also by taking something away, and nothing for what did not fit before", () => {
    expect(refusal("mqtt.delayed.secondsMax", 200, {}, longerThanSessions)).toContain("at most mqtt.session.expirySecondsMax")
    const both = { "mqtt.delayed.secondsMax": 200, "mqtt.session.expirySecondsMax": 300 }
    expect(refusal("mqtt.session.expirySecondsMax", undefined, both, longerThanSessions)).toContain(
      "mqtt.delayed.secondsMax = 200"
    )
    const broken = { "mqtt.delayed.secondsMax": 200, "a.newer.key": 1 }
    expect(Either.isRight(change("mqtt.maximumQos", 1, broken, longerThanSessions))).toBe(true)
  })
})

it("the keys that are read at start are named once", () => {
  const named = atStartGroups.flatMap(({ keys }) => keys)
  expect(new Set(named).size).toBe(named.length)
  expect(keyNames.filter((name) => atStartReason(name) !== undefined).sort()).toEqual([...named].sort())
})

describe("Live", () => {
  it("tells of changes, and of what follows from them", () => {
    const cell = new LiveCell({ a: 1, b: [1, 2] })
    const sum = cell.map(({ b }) => b.length)
    const told: Array<string> = []
    const stop = cell.onChange(({ a }) => told.push(`a${a}`))
    sum.onChange((length) => told.push(`b${length}`))
    const before = cell.current
    cell.set({ a: 1, b: [1, 2] })
    expect(cell.current).toBe(before)
    cell.set({ a: 2, b: [3, 4] })
    cell.set({ a: 2, b: [3] })
    stop()
    cell.set({ a: 3, b: [] })
    expect(told).toEqual(["a2", "b1", "a2", "b0"])
    expect(sum.current).toBe(0)
  })

  it("takes what stays as it is", () => {
    expect(liveOf("info").current).toBe("info")
    const cell = new LiveCell("info")
    expect(liveOf(cell)).toBe(cell)
    expect([isLive(cell), isLive("info")]).toEqual([true, false])
  })

  it("compares data", () => {
    expect(sameData({ a: [1, { b: undefined }] }, { a: [1, { b: undefined }] })).toBe(true)
    for (const other of [{ a: [1] }, { a: 1 }, { a: [1, { c: undefined }] }, [1], null, { a: { 0: 1, 1: {} } }]) {
      expect(sameData({ a: [1, { b: undefined }] }, other)).toBe(false)
    }
  })
})

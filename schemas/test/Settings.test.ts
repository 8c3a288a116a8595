import * as Either from "effect/Either"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../src/config/ConfigError.js"
import type { SettingsInput } from "../src/config/Settings.js"
import { environmentNameOf, keyNames, mask, resolve } from "../src/config/Settings.js"

const settingsOf = (input: SettingsInput) => {
  const result = resolve(input)
  if (Either.isLeft(result)) throw result.left
  return result.right
}

const problemsOf = (input: SettingsInput) => {
  const result = resolve(input)
  if (Either.isRight(result)) throw new Error("expected problems")
  expect(result.left).toBeInstanceOf(ConfigError)
  return result.left
}

describe("precedence", () => {
  it("takes the default where nothing is given", () => {
    const { settings, sources } = settingsOf({})
    expect(settings["mqtt.tcp.port"]).toBe(1883)
    expect(settings["mqtt.ws.port"]).toBe(8083)
    expect(settings["mqtt.tls.port"]).toBe(1885)
    expect(settings["mqtt.wss.port"]).toBe(8085)
    expect(settings["admin.http.port"]).toBe(9644)
    expect(sources["mqtt.tcp.port"].kind).toBe("default")
  })

  it("flags win over environment, environment over file, file over defaults", () => {
    const file = { path: "c.yaml", content: { mqtt: { tcp: { port: 1 }, ws: { port: 1 }, tls: { port: 1 } } } }
    const environment = { EFFECTMQ_MQTT_TCP_PORT: "2", EFFECTMQ_MQTT_WS_PORT: "2", PATH: "/bin" }
    const { settings, sources } = settingsOf({ file, environment, flags: ["mqtt.tcp.port=3"] })
    expect(settings["mqtt.tcp.port"]).toBe(3)
    expect(settings["mqtt.ws.port"]).toBe(2)
    expect(settings["mqtt.tls.port"]).toBe(1)
    expect(settings["mqtt.wss.port"]).toBe(8085)
    expect(sources["mqtt.tcp.port"]).toEqual({ kind: "flag", name: "--set mqtt.tcp.port" })
    expect(sources["mqtt.ws.port"]).toEqual({ kind: "environment", name: "EFFECTMQ_MQTT_WS_PORT" })
    expect(sources["mqtt.tls.port"]).toEqual({ kind: "file", name: "c.yaml" })
  })

  it("the later of two flags wins", () => {
    expect(settingsOf({ flags: ["node.id=3", "node.id=4"] }).settings["node.id"]).toBe(4)
  })

  it("takes nested and dotted keys of a file, and empty sections", () => {
    const content = { "mqtt.tcp.port": 5, mqtt: { "ws.port": 6, tls: null }, limits: null, "node.name": null }
    const { settings } = settingsOf({ file: { path: "c", content } })
    expect(settings["mqtt.tcp.port"]).toBe(5)
    expect(settings["mqtt.ws.port"]).toBe(6)
    expect(settings["node.name"]).toBe("effectmq")
  })

  it("takes lists and objects as JSON, lists of texts also with commas", () => {
    const rule = { action: "publish", source: "x/#", regex: "^x/(.+)$", dest: "y/$1" }
    const { settings } = settingsOf({
      environment: { EFFECTMQ_MQTT_REWRITE: JSON.stringify([rule]), EFFECTMQ_MQTT_PROXY_TRUSTED_ADDRESSES: "10.0.0.1, 10.0.0.2" },
      flags: ['mqtt.automaticSubscriptions=[{"filter":"inbox/%c"}]']
    })
    expect(settings["mqtt.rewrite"]).toEqual([rule])
    expect(settings["mqtt.proxy.trustedAddresses"]).toEqual(["10.0.0.1", "10.0.0.2"])
    expect(settings["mqtt.automaticSubscriptions"]).toEqual([
      { filter: "inbox/%c", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }
    ])
  })

  it("a text stays as it stands, even one that looks like a number", () => {
    expect(settingsOf({ flags: ["admin.token=12345", "node.name=a=b"] }).settings["admin.token"]).toBe("12345")
    expect(settingsOf({ flags: ["node.name=a=b"] }).settings["node.name"]).toBe("a=b")
  })
})

describe("errors", () => {
  it("name key, source, value and what was expected", () => {
    const error = problemsOf({ environment: { EFFECTMQ_MQTT_TCP_PORT: "eighty" } })
    expect(error.message).toBe(
      'mqtt.tcp.port = "eighty" (environment variable EFFECTMQ_MQTT_TCP_PORT): expected a whole number from 0 to 65535'
    )
  })

  it("suggest the nearest key", () => {
    const error = problemsOf({
      file: { path: "c.yaml", content: { mqtt: { tpc: { port: 1 } } } },
      environment: { EFFECTMQ_MQTT_TCP_PROT: "1" },
      flags: ["mqtt.maximumQoS=1"]
    })
    expect(error.problems.map((problem) => [problem.key, problem.suggestion])).toEqual([
      ["mqtt.tpc.port", "mqtt.tcp.port"],
      ["EFFECTMQ_MQTT_TCP_PROT", "EFFECTMQ_MQTT_TCP_PORT"],
      ["mqtt.maximumQoS", "mqtt.maximumQos"]
    ])
    expect(error.message).toContain("did you mean mqtt.tcp.port?")
    expect(error.message).toContain("file c.yaml")
  })

  it("are all reported at once, also where a stronger source hides one", () => {
    const error = problemsOf({
      file: { path: "c.yaml", content: { mqtt: { tcp: { port: 70000 } }, nothing: 1 } },
      flags: ["mqtt.tcp.port=1", "log.level=loud", "node.id"]
    })
    expect(error.problems.map((problem) => problem.key)).toEqual(["nothing", "node.id", "log.level", "mqtt.tcp.port"])
    expect(error.message).toContain("one of trace, debug, info, warn, error")
  })

  it("say where in a list the fault is", () => {
    const error = problemsOf({ flags: ['mqtt.rewrite=[{"action":"publish","source":"x","regex":"(","dest":"y"}]'] })
    expect(error.message).toContain("at 0.regex")
    expect(problemsOf({ flags: ['mqtt.automaticSubscriptions=[{"filter":"x","qso":1}]'] }).message).toContain("at 0.qso")
  })

  it("never show a secret", () => {
    const error = problemsOf({ file: { path: "c", content: { admin: { token: 12345, tokn: "s3cret" } } } })
    expect(error.problems.map((problem) => problem.value)).toEqual([mask, mask])
    expect(error.message).not.toMatch(/12345|s3cret/)
  })

  it("want a secret between nodes that is long enough, and say how one is made", () => {
    expect(problemsOf({ flags: ["cluster.secret=15 characters.."] }).message).toBe(
      `cluster.secret = "${mask}" (flag --set cluster.secret): expected at least 16 characters that nobody guesses, as from openssl rand -hex 16`
    )
    expect(Either.isRight(resolve({ flags: ["cluster.secret=16 characters..."] }))).toBe(true)
    const beyond = { flags: ["cluster.rpc.host=0.0.0.0"] }
    expect(problemsOf(beyond).message).toContain("cluster.secret to be set")
    expect(problemsOf({ flags: ["cluster.rpc.host=127.example.com"] }).message).toContain("cluster.secret to be set")
    expect(Either.isRight(resolve({ flags: [...beyond.flags, "cluster.secret=16 characters..."] }))).toBe(true)
  })

  it("refuse a key twice, a file that is no mapping, and values that contradict each other", () => {
    const twice = { "mqtt.tcp.port": 1, mqtt: { tcp: { port: 2 } } }
    expect(problemsOf({ file: { path: "c", content: twice } }).message).toContain("only once")
    expect(problemsOf({ file: { path: "c", content: [1] } }).message).toContain("mapping")
    expect(problemsOf({ flags: ["mqtt.tls.certFile=a.pem"] }).message).toContain("mqtt.tls.keyFile")
    expect(problemsOf({ flags: ["mqtt.tls.keyFile=a.pem"] }).message).toContain("mqtt.tls.certFile")
    expect(problemsOf({ flags: ["mqtt.tls.clientCertificate=required"] }).message).toContain("mqtt.tls.caFile")
    expect(problemsOf({ flags: ["mqtt.proxy.mode=optional"] }).message).toContain("mqtt.proxy.trustedAddresses")
    expect(problemsOf({ flags: ["auth.certificateUsers=true"] }).message).toContain("mqtt.tls.clientCertificate")
  })

  it("never throws, whatever is in the file, the environment and the flags", () => {
    const name = fc.oneof(fc.constantFrom(...keyNames), fc.string())
    fc.assert(
      fc.property(fc.dictionary(name, fc.jsonValue()), fc.array(fc.tuple(name, fc.string())), (content, flags) => {
        const environment = Object.fromEntries(flags.map(([key, value]) => [environmentNameOf(key), value]))
        resolve({ file: { path: "c", content }, environment, flags: flags.map(([key, value]) => `${key}=${value}`) })
      }),
      { numRuns: 100 }
    )
  })
})

describe("the table", () => {
  it("has one environment name per key", () => {
    expect(new Set(keyNames.map(environmentNameOf)).size).toBe(keyNames.length)
    expect(environmentNameOf("mqtt.session.expirySecondsMax")).toBe("EFFECTMQ_MQTT_SESSION_EXPIRY_SECONDS_MAX")
  })

  it("has no key that is a section of another", () => {
    for (const name of keyNames) expect(keyNames.filter((other) => other.startsWith(`${name}.`))).toEqual([])
  })

  it("has defaults that its own schemas accept", () => {
    const { settings } = settingsOf({})
    const flags = keyNames
      .filter((name) => settings[name] !== undefined)
      .map((name) => `${name}=${typeof settings[name] === "string" ? settings[name] : JSON.stringify(settings[name])}`)
    expect(settingsOf({ flags }).settings).toEqual(settings)
  })
})

import { settingsWith } from "@effectmq/schemas/config/Settings"
import type { Settings } from "@effectmq/schemas/config/Settings"
import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { isLoopback } from "../src/Loopback.js"
import { mqttListeners } from "../src/MqttListeners.js"

const places = (overrides: Partial<Settings>, open: boolean) =>
  Either.map(mqttListeners(settingsWith(overrides), open), (listeners) =>
    listeners.map(({ name, options }) => `${name} ${options.host}:${options.port}`)
  )

const certificate = { "mqtt.tls.certFile": "c.pem", "mqtt.tls.keyFile": "k.pem" }

describe("where MQTT listens", () => {
  it("on loopback only while nobody is configured", () => {
    expect(places({}, true)).toEqual(Either.right(["mqtt.tcp 127.0.0.1:1883", "mqtt.ws 127.0.0.1:8083"]))
    expect(places({ "mqtt.tcp.host": "::1", "mqtt.ws.enabled": false }, true)).toEqual(Either.right(["mqtt.tcp ::1:1883"]))
  })

  it("everywhere once somebody is, or where it is told", () => {
    expect(places({ "mqtt.ws.host": "10.1.2.3" }, false)).toEqual(
      Either.right(["mqtt.tcp 0.0.0.0:1883", "mqtt.ws 10.1.2.3:8083"])
    )
  })

  it("a host beyond this machine is refused while nobody is configured, with what can be done", () => {
    const refused = Either.flip(places({ "mqtt.ws.host": "0.0.0.0" }, true))
    const message = Either.getOrThrow(refused).message
    for (const word of ["mqtt.ws.host is 0.0.0.0", "effectmq user add", "auth.allowAnonymous=true"])
      expect(message).toContain(word)
  })

  it("with TLS where a certificate is configured", () => {
    expect(places(certificate, false)).toEqual(
      Either.right(["mqtt.tcp 0.0.0.0:1883", "mqtt.ws 0.0.0.0:8083", "mqtt.tls 0.0.0.0:1885", "mqtt.wss 0.0.0.0:8085"])
    )
    expect(
      places({ ...certificate, "mqtt.tls.enabled": false, "mqtt.tcp.enabled": false, "mqtt.ws.enabled": false }, false)
    ).toEqual(Either.right(["mqtt.wss 0.0.0.0:8085"]))
  })

  it("every limit reaches every listener", () => {
    const settings = settingsWith({
      ...certificate,
      "mqtt.connectTimeoutSeconds": 3,
      "limits.connectionsPerSecond": 7,
      "mqtt.maxPacketSizeBytes": 100_000_000,
      "mqtt.proxy.mode": "required",
      "mqtt.proxy.trustedAddresses": ["10.0.0.0/8"]
    })
    for (const { options } of Either.getOrThrow(mqttListeners(settings, false))) {
      expect(options).toMatchObject({
        connectTimeoutMs: 3000,
        outputBytesMax: 200_000_000,
        rate: { connectionsPerSecond: 7, burst: 7 },
        proxyProtocol: { mode: "required", trustedAddresses: ["10.0.0.0/8"] }
      })
    }
  })
})

it("loopback is 127.0.0.0/8 and ::1, whatever the form", () => {
  for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"]) expect(isLoopback(address)).toBe(true)
  for (const address of ["", "10.0.0.1", "128.0.0.1", "::", "0.0.0.0", "127.evil.example", "fe80::1"])
    expect(isLoopback(address)).toBe(false)
})

import { settingsWith } from "@effectmq/schemas/config/Settings"
import { expect, it } from "vitest"
import { bannerLines } from "../src/Banner.js"
import type { NodeStateService } from "../src/NodeState.js"

const state = (more: Partial<NodeStateService>): NodeStateService => ({
  startedAtMs: 0,
  uptimeMs: () => 0,
  phase: "serving",
  startMs: 321,
  authentication: () => "open",
  faults: [],
  waitsFor: () => undefined,
  listeners: [
    { name: "admin.http", host: "127.0.0.1", port: 9644 },
    { name: "mqtt.tcp", host: "0.0.0.0", port: 1883 },
    { name: "mqtt.wss", host: "::1", port: 8085 }
  ],
  ...more
})

const textOf = (more: Partial<NodeStateService>) =>
  bannerLines(settingsWith({ "data.dir": "/var/lib/x" }), state(more)).join("\n")

it("says what listens where, where the data is, who may connect and how to begin", () => {
  const text = textOf({})
  for (const part of [
    "ready after 321 ms",
    "http://127.0.0.1:9644",
    "mqtt://0.0.0.0:1883",
    "wss://[::1]:8085/mqtt",
    "/var/lib/x",
    "only clients on this machine",
    "mosquitto_pub -h 127.0.0.1 -p 1883 -t hello/world -m 'Hello'"
  ]) {
    expect(text).toContain(part)
  }
})

it("shows user and password where they are wanted, and no example without plain MQTT", () => {
  expect(textOf({ authentication: () => "users" })).toContain("-p 1883 -u USER -P PASSWORD")
  expect(textOf({ authentication: () => "anonymous" })).toContain("auth.allowAnonymous")
  expect(textOf({ listeners: [] })).not.toContain("mosquitto_pub")
})

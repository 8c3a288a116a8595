import { LiveCell } from "@effectmq/schemas/config/Live"
import { settingsWith } from "@effectmq/schemas/config/Settings"
import { StorageError } from "@effectmq/storage/StorageError"
import { describe, expect, it } from "vitest"
import { alarmRules, type AlarmSources } from "../src/AlarmRules.js"

const started = settingsWith({
  "limits.connectionsMax": 1000,
  "mqtt.session.persistentMax": 1000,
  "mqtt.retained.messagesMax": 100,
  "mqtt.retained.bytesMax": 10_000,
  "mqtt.delayed.countMax": 100,
  "mqtt.delayed.bytesMax": 10_000,
  "alarms.nearLimitPercent": 90,
  "alarms.memoryPercent": 80,
  "alarms.eventLoopDelayMs": 200,
  "alarms.walSyncMs": 250
})

/** Figures that the test sets, and what is raised after each look. */
class Node {
  error: StorageError | undefined = undefined
  connections = 0
  sessions = 0
  retained = 0
  retainedBytes = 0
  delayed = 0
  delayedBytes = 0
  residentBytes = 0
  delaySeconds: number | undefined = undefined
  syncs = { count: 10, sum: 100 }
  private readonly raised = new Map<string, string>()
  private readonly rules
  readonly settings = new LiveCell(started)

  constructor() {
    const sources: AlarmSources = {
      storageError: () => this.error,
      connections: () => this.connections,
      persistentSessions: () => this.sessions,
      retainedMessages: () => this.retained,
      retainedBytes: () => this.retainedBytes,
      delayedMessages: () => this.delayed,
      delayedBytes: () => this.delayedBytes,
      residentBytes: () => this.residentBytes,
      machineBytes: 1024 * 1024 * 1024,
      eventLoopDelaySeconds: () => this.delaySeconds,
      walSyncs: () => this.syncs
    }
    this.rules = alarmRules(this.settings, sources)
  }

  look(): Record<string, string> {
    for (const rule of this.rules) {
      const message = rule.check(this.raised.has(rule.name))
      if (message === undefined) this.raised.delete(rule.name)
      else this.raised.set(rule.name, message)
    }
    return Object.fromEntries(this.raised)
  }
}

describe("alarms", () => {
  it("are none on a quiet node", () => {
    expect(new Node().look()).toEqual({})
  })

  it("tell that storage takes no writes, for as long as it does not", () => {
    const node = new Node()
    node.error = new StorageError({ reason: "full", message: "no space" })
    expect(node.look()).toEqual({ "storage-takes-no-writes": "storage takes no writes (full): no space" })
    node.error = undefined
    expect(node.look()).toEqual({})
  })

  it("rise near a limit and clear a good way below", () => {
    const node = new Node()
    node.connections = 900
    expect(node.look()).toEqual({})
    node.connections = 901
    expect(node.look()).toEqual({ "connections-near-limit": "901 connections, 90 % of limits.connectionsMax" })
    node.connections = 850
    expect(Object.keys(node.look())).toEqual(["connections-near-limit"])
    node.connections = 700
    expect(node.look()).toEqual({})
    node.sessions = 990
    node.retained = 95
    node.delayed = 100
    node.retainedBytes = 9500
    node.delayedBytes = 10_000
    expect(node.look()).toEqual({
      "sessions-near-limit": "990 persistent sessions, 99 % of mqtt.session.persistentMax",
      "retained-near-limit": "95 retained messages, 95 % of mqtt.retained.messagesMax",
      "retained-bytes-near-limit": "9500 bytes of retained messages, 95 % of mqtt.retained.bytesMax",
      "delayed-near-limit": "100 delayed messages, 100 % of mqtt.delayed.countMax",
      "delayed-bytes-near-limit": "10000 bytes of delayed messages, 100 % of mqtt.delayed.bytesMax"
    })
  })

  it("follow thresholds that change", () => {
    const node = new Node()
    node.residentBytes = 300 * 1024 * 1024
    node.delaySeconds = 0.15
    node.connections = 500
    const slowSyncs = () => {
      node.syncs = { count: node.syncs.count + 10, sum: node.syncs.sum + 2 }
    }
    slowSyncs()
    expect(node.look()).toEqual({})
    node.settings.set({
      ...started,
      "alarms.memoryPercent": 20,
      "alarms.eventLoopDelayMs": 100,
      "alarms.walSyncMs": 150,
      "alarms.nearLimitPercent": 40
    })
    slowSyncs()
    const raised = ["storage-slow", "event-loop-slow", "memory-high", "connections-near-limit"]
    expect(Object.keys(node.look()).sort()).toEqual([...raised].sort())
    node.settings.set(started)
    slowSyncs()
    expect(node.look()).toEqual({})
  })

  it("tell of memory and of a late event loop", () => {
    const node = new Node()
    node.residentBytes = 900 * 1024 * 1024
    node.delaySeconds = 0.25
    expect(node.look()).toEqual({
      "memory-high": "900 MiB of memory, 88 % of the machine's",
      "event-loop-slow": "the event loop is 250 ms late"
    })
  })

  it("tell of slow syncs by the mean since the last look, whatever was before", () => {
    const node = new Node()
    expect(node.look()).toEqual({})
    node.syncs = { count: 14, sum: 102 }
    expect(node.look()).toEqual({ "storage-slow": "a sync of the write-ahead log takes 500 ms" })
    node.syncs = { count: 24, sum: 102.1 }
    expect(node.look()).toEqual({})
    expect(node.look()).toEqual({})
  })
})

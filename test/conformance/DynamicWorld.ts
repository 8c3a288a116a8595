/**
 * A broker whose configuration a test changes, its clients, and which keys were shown to take effect.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { KeyName } from "@effectmq/schemas/config/Settings"
import { it, vi } from "vitest"
import { until } from "../support/Until.js"
import { type Broker, startBroker } from "./broker.js"
import { type ConnectFields, RawClient } from "./RawClient.js"

export class DynamicWorld {
  /** Of the log. */
  readonly lines: Array<string> = []
  /** Keys with a test. */
  readonly shown = new Set<KeyName>()
  private broker: Broker | undefined
  private readonly changed = new Set<KeyName>()
  private readonly clients: Array<RawClient> = []

  /** Of the broker's data. */
  readonly folder = mkdtempSync(join(tmpdir(), "effectmq-dynamic-"))

  readonly start = async (): Promise<void> => {
    // So rarely that nothing of it is seen unless it is changed.
    const settings = { "data.dir": this.folder, "sys.intervalSeconds": 0, "mqtt.session.progressIntervalMs": 60_000 }
    // A container of 8 GiB at most: one percent of it any process takes.
    const container = vi.spyOn(process, "constrainedMemory").mockReturnValue(8 * 1024 ** 3)
    this.broker = await startBroker(settings, (line) => this.lines.push(line))
    container.mockRestore()
  }

  readonly stop = async (): Promise<void> => {
    await this.broker?.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** A test that shows that these keys take effect. */
  readonly shows = (keys: KeyName | ReadonlyArray<KeyName>, what: string, test: () => Promise<void>): void => {
    const all: ReadonlyArray<KeyName> = typeof keys === "string" ? [keys] : keys
    for (const key of all) this.shown.add(key)
    it(`${all.join(", ")}: ${what}`, test)
  }

  // --- the admin API

  readonly request = (method: string, path: string, body?: unknown): Promise<Response> => {
    const url = `http://127.0.0.1:${this.broker?.adminPort}${path}`
    return fetch(url, body === undefined ? { method } : { method, body: JSON.stringify(body) })
  }

  readonly api = async (method: string, path: string, body?: unknown) => {
    const response = await this.request(method, `/api/v1/${path}`, body)
    const text = await response.text()
    if (response.status >= 400) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === "" ? undefined : JSON.parse(text)
  }

  readonly set = async (key: KeyName, value: unknown): Promise<void> => {
    this.changed.add(key)
    await this.api("PUT", `config/${key}`, { value })
  }

  readonly unset = async (key: KeyName): Promise<void> => {
    this.changed.delete(key)
    await this.api("DELETE", `config/${key}`)
  }

  readonly metric = async (name: string): Promise<number> => {
    const text = await (await this.request("GET", "/metrics")).text()
    const found = new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]
    if (found === undefined) throw new Error(`there is no metric ${name}`)
    return Number(found)
  }

  // --- clients

  readonly open = async (version: 3 | 4 | 5 = 5): Promise<RawClient> => {
    const client = await RawClient.open(this.broker?.port ?? 0, version)
    this.clients.push(client)
    return client
  }

  readonly connect = async (fields: ConnectFields = {}): Promise<RawClient> => {
    const client = await this.open()
    await client.connect(fields)
    return client
  }

  /** What CONNACK tells a client that connects now. */
  readonly told = async (fields: ConnectFields = {}) => (await (await this.open()).connect(fields)).properties ?? {}

  /** The code that a client that connects now gets in CONNACK. */
  readonly answered = async (fields: ConnectFields = {}, version: 3 | 4 | 5 = 5): Promise<number | undefined> => {
    const client = await this.open(version)
    client.send(client.connectPacket(fields))
    const { reasonCode, returnCode } = await client.expectPacket("connack")
    return reasonCode ?? returnCode
  }

  /** The code of the PUBACK. */
  readonly published = async (client: RawClient, topic: string, payload: string | Buffer = "x"): Promise<number> => {
    const messageId = client.nextPacketId()
    client.send(client.publishPacket(topic, payload, 1, messageId))
    return (await client.expectPacket("puback", { messageId })).reasonCode ?? 0
  }

  /** After each test: the configuration as it was, and all clients gone. */
  readonly tidyUp = async (): Promise<void> => {
    for (const key of this.changed) await this.unset(key)
    for (const client of this.clients.splice(0)) client.destroy()
    await until(async () => (await this.metric("effectmq_connections")) === 0, "the clients have gone")
  }
}

/**
 * A client that publishes numbered messages at QoS 1 and 2, and sends again what was not acknowledged, as [MQTT-4.4.0-1] says.
 */
import { expect } from "vitest"
import type { Packet } from "./MemoryConnection.js"
import type { MqttWorld, WorldClient } from "./MqttWorld.js"

interface Outgoing {
  readonly packetId: number
  readonly payload: string
  readonly topic: string
  readonly qos: 1 | 2
  state: "new" | "sent" | "released"
}

export class PublisherModel {
  client: WorldClient | undefined
  readonly acknowledged = new Set<string>()
  readonly published: Array<{ readonly payload: string; readonly topic: string; readonly qos: 1 | 2 }> = []
  private readonly outgoing: Array<Outgoing> = []
  private count = 0
  private nextId = 0

  connect(world: MqttWorld): void {
    const before = this.client
    this.client = world.client(5)
    this.client.send({
      cmd: "connect",
      clientId: "publisher",
      clean: false,
      keepalive: 0,
      properties: { sessionExpiryInterval: 1000 }
    } as never)
    before?.cut()
    this.connected = false
  }

  connected = false

  publish(topic: string, qos: 1 | 2): void {
    if (this.outgoing.length >= 20) return
    const payload = `${this.count++}`
    do this.nextId = (this.nextId % 30) + 1
    while (this.outgoing.some(({ packetId }) => packetId === this.nextId))
    const message: Outgoing = { packetId: this.nextId, payload, topic, qos, state: "new" }
    this.published.push({ payload, topic, qos })
    this.outgoing.push(message)
    if (this.connected) this.send(message, false)
  }

  private send(message: Outgoing, dup: boolean): void {
    const { packetId: messageId, payload, topic, qos } = message
    message.state = "sent"
    this.client?.send({ cmd: "publish", messageId, payload, topic, qos, dup, retain: false } as never)
  }

  step(): void {
    for (const packet of this.client?.take() ?? []) this.receive(packet)
  }

  private receive(packet: Packet): void {
    const message = this.outgoing.find(({ packetId }) => packetId === packet["messageId"])
    switch (packet.cmd) {
      case "connack":
        expect(packet["reasonCode"]).toBe(0)
        this.connected = true
        for (const message of [...this.outgoing]) {
          if (message.state === "released")
            this.client?.send({ cmd: "pubrel", messageId: message.packetId, reasonCode: 0 } as never)
          else this.send(message, message.state === "sent")
        }
        return
      case "puback":
        if (message?.qos === 1) this.done(message)
        return
      case "pubrec":
        if (message === undefined) return
        expect(packet["reasonCode"] as number).toBeLessThan(0x80)
        message.state = "released"
        this.client?.send({ cmd: "pubrel", messageId: message.packetId, reasonCode: 0 } as never)
        return
      case "pubcomp":
        if (message?.state === "released") this.done(message)
        return
      default:
        throw new Error(`the publisher got ${JSON.stringify(packet)}`)
    }
  }

  private done(message: Outgoing): void {
    this.acknowledged.add(message.payload)
    this.outgoing.splice(this.outgoing.indexOf(message), 1)
  }

  get idle(): boolean {
    return this.connected && this.outgoing.length === 0
  }
}

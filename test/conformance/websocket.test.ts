/**
 * MQTT over WebSocket: section 6.
 */
import { generate, type Packet, parser } from "mqtt-packet"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { until } from "../support/Until.js"
import { type Broker, startBroker } from "./broker.js"
import { unique } from "./RawClient.js"

let broker: Broker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const open = async (protocols: ReadonlyArray<string> = ["mqtt"]) => {
  const socket = new WebSocket(`ws://127.0.0.1:${broker.wsPort}/mqtt`, [...protocols])
  const packets: Array<Packet> = []
  const kinds = new Set<string>()
  const reader = parser({ protocolVersion: 4 })
  reader.on("packet", (packet) => void packets.push(packet))
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    kinds.add(isBinary ? "binary" : "text")
    reader.parse(data)
  })
  const state = { closed: false }
  socket.on("close", () => {
    state.closed = true
  })
  socket.on("error", () => {
    state.closed = true
  })
  await until(() => socket.readyState === WebSocket.OPEN || state.closed, "the WebSocket is open or refused")
  const expectPacket = async (cmd: string) => {
    await until(() => packets.length > 0, `${cmd} came`)
    expect(packets.shift()?.cmd).toBe(cmd)
  }
  return { socket, kinds, state, expectPacket }
}

const encode = (packet: Packet): Buffer => generate(packet, { protocolVersion: 4 })
const connectPacket = (): Buffer =>
  encode({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0, clientId: unique("c") })

describe("MQTT over WebSocket", () => {
  it("the sub-protocol is mqtt [MQTT3-6.0.0-4] [MQTT5-6.0.0-4]", async () => {
    const { socket } = await open(["other", "mqtt"])
    expect(socket.protocol).toBe("mqtt")
    socket.terminate()
  })

  it("packets come in binary frames, and a text frame ends the connection [MQTT3-6.0.0-1] [MQTT5-6.0.0-1]", async () => {
    const { socket, kinds, state, expectPacket } = await open()
    socket.send(connectPacket())
    await expectPacket("connack")
    expect([...kinds]).toEqual(["binary"])
    socket.send("text")
    await until(() => state.closed, "the connection is closed")
    // Also where its bytes would make a packet.
    const other = await open()
    other.socket.send(connectPacket().toString("latin1"))
    await until(() => other.state.closed, "the connection is closed")
    expect([...other.kinds]).toEqual([])
  })

  it("packets and frames have nothing to do with each other [MQTT3-6.0.0-2] [MQTT5-6.0.0-2]", async () => {
    const { socket, expectPacket } = await open()
    const topic = unique()
    const bytes = Buffer.concat([
      connectPacket(),
      encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] }),
      encode({ cmd: "pingreq" })
    ])
    for (const byte of bytes) socket.send(Buffer.of(byte))
    await expectPacket("connack")
    await expectPacket("suback")
    await expectPacket("pingresp")
    socket.send(Buffer.concat([encode({ cmd: "pingreq" }), encode({ cmd: "pingreq" })]))
    await expectPacket("pingresp")
    await expectPacket("pingresp")
    socket.terminate()
  })
})

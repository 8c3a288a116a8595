/**
 * Users, permissions and enhanced authentication: sections 3.1.4, 3.3.5, 3.15 and 4.12.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Broker, isStandIn, startBroker } from "./broker.js"
import { RawClient, unique } from "./RawClient.js"

const method = "SCRAM-SHA-256"

/** The client's half of SCRAM-SHA-256. */
class Scram {
  private readonly nonce = randomBytes(12).toString("base64")
  private readonly bare: string
  private expectedProof = ""

  constructor(
    user: string,
    private readonly password: string
  ) {
    this.bare = `n=${user},r=${this.nonce}`
  }

  first(): Buffer {
    return Buffer.from(`n,,${this.bare}`)
  }

  final(challenge: Buffer): Buffer {
    const text = challenge.toString()
    const fields = new Map(text.split(",").map((part) => [part[0], part.slice(2)]))
    const salt = Buffer.from(fields.get("s") ?? "", "base64")
    const salted = pbkdf2Sync(this.password, salt, Number(fields.get("i")), 32, "sha256")
    const hmac = (key: Buffer, value: string) => createHmac("sha256", key).update(value).digest()
    const clientKey = hmac(salted, "Client Key")
    const withoutProof = `c=biws,r=${fields.get("r")}`
    const all = `${this.bare},${text},${withoutProof}`
    const signature = hmac(createHash("sha256").update(clientKey).digest(), all)
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] as number)))
    this.expectedProof = `v=${hmac(hmac(salted, "Server Key"), all).toString("base64")}`
    return Buffer.from(`${withoutProof},p=${proof.toString("base64")}`)
  }

  isProof(data: Buffer | undefined): boolean {
    return data?.toString() === this.expectedProof
  }
}

describe.skipIf(isStandIn)("who may connect and what they may do", () => {
  let broker: Broker
  beforeAll(async () => {
    broker = await startBroker()
    const api = async (verb: string, path: string, body: unknown) => {
      const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1${path}`, {
        method: verb,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body)
      })
      if (!response.ok) throw new Error(`${verb} ${path}: ${response.status} ${await response.text()}`)
    }
    await api("PUT", "/users/ann", { password: "correct" })
    await api("POST", "/acl/rules", { effect: "deny", action: "all", filter: "secret/#", who: { user: "ann" } })
  })
  afterAll(() => broker?.stop())

  const open = (version: 3 | 4 | 5) => RawClient.open(broker.port, version)
  const ann = { username: "ann", password: Buffer.from("correct") }

  const beginScram = async (password: string) => {
    const scram = new Scram("ann", password)
    const client = await open(5)
    client.send(client.connectPacket({ properties: { authenticationMethod: method, authenticationData: scram.first() } }))
    const auth = await client.expectPacket("auth")
    return { client, scram, auth }
  }

  const answer = (client: RawClient, reasonCode: number, authenticationData: Buffer, authenticationMethod = method) =>
    client.send({ cmd: "auth", reasonCode, properties: { authenticationMethod, authenticationData } })

  it.each([4, 5] as const)(
    "version %i: the right password opens, others end the connection [MQTT3-3.2.2-5] [MQTT5-3.1.4-2]",
    async (version) => {
      const client = await open(version)
      await client.connect(ann)
      for (const fields of [{ ...ann, password: Buffer.from("wrong") }, { ...ann, username: "nobody" }, {}]) {
        const other = await open(version)
        other.send(other.connectPacket(fields))
        const connack = await other.expectPacket("connack", { sessionPresent: false })
        expect(version === 5 ? [0x86, 0x87] : [4, 5]).toContain(connack.reasonCode ?? connack.returnCode)
        await other.expectClosed()
      }
    }
  )

  it("3.1.1: a publish that is not allowed is acknowledged, or ends the connection [MQTT3-3.3.5-2]", async () => {
    const client = await open(4)
    await client.connect(ann)
    for (const qos of [1, 2] as const) {
      client.send(client.publishPacket("secret/x", "x", qos, qos))
      await client.expectPacket(qos === 1 ? "puback" : "pubrec", { messageId: qos })
    }
    expect(await client.subscribe("secret/#")).toEqual([0x80])
  })

  it("5.0: a publish or subscription that is not allowed is refused with 0x87 [MQTT5-3.4.2-1] [MQTT5-3.5.2-1] [MQTT5-3.9.3-2]", async () => {
    const client = await open(5)
    await client.connect(ann)
    client.send(client.publishPacket("secret/x", "x", 1, 1))
    await client.expectPacket("puback", { messageId: 1, reasonCode: 0x87 })
    client.send(client.publishPacket("secret/x", "x", 2, 2))
    await client.expectPacket("pubrec", { messageId: 2, reasonCode: 0x87 })
    expect(await client.subscribe(["secret/x", unique()])).toEqual([0x87, 0])
  })

  it("a will that may not be published is not", async () => {
    const watcher = await open(5)
    await watcher.connect(ann)
    const client = await open(5)
    client.send(client.connectPacket({ ...ann, will: { topic: "secret/will", payload: Buffer.from("x") } }))
    const { reasonCode } = await client.expectPacket("connack")
    if (reasonCode === 0) client.destroy()
    else expect(reasonCode).toBe(0x87)
    await watcher.expectNothing()
  })

  it("a method that is not known ends the connection [MQTT5-4.12.0-1]", async () => {
    const client = await open(5)
    client.send(client.connectPacket({ properties: { authenticationMethod: "GUESS" } }))
    await client.expectPacket("connack", { reasonCode: 0x8c })
    await client.expectClosed()
  })

  it("SCRAM: the broker asks with 0x18, and all its packets name the method [MQTT5-4.12.0-2] [MQTT5-4.12.0-3] [MQTT5-4.12.0-5] [MQTT5-3.15.2-1] [MQTT5-3.2.0-1]", async () => {
    const { client, scram, auth } = await beginScram("correct")
    expect(auth.reasonCode).toBe(0x18)
    expect(auth.properties?.authenticationMethod).toBe(method)
    answer(client, 0x18, scram.final(auth.properties?.authenticationData as Buffer))
    const { properties } = await client.expectPacket("connack", { reasonCode: 0 })
    expect(properties?.authenticationMethod).toBe(method)
    expect(scram.isProof(properties?.authenticationData)).toBe(true)
    expect(await client.subscribe("secret/x")).toEqual([0x87])
  })

  it("SCRAM: a wrong password ends the connection [MQTT5-4.12.0-4]", async () => {
    const { client, scram, auth } = await beginScram("wrong")
    answer(client, 0x18, scram.final(auth.properties?.authenticationData as Buffer))
    const { reasonCode = 0 } = await client.expectPacket("connack")
    expect([0x86, 0x87]).toContain(reasonCode)
    await client.expectClosed()
  })

  it("SCRAM: nothing but AUTH and DISCONNECT may come before CONNACK [MQTT5-3.1.2-30] [MQTT5-3.1.4-6]", async () => {
    const { client } = await beginScram("correct")
    client.send({ cmd: "pingreq" })
    await client.expectPacket("connack", { reasonCode: 0x82 })
    await client.expectClosed()
  })

  it("SCRAM: another method in AUTH is an error [MQTT5-4.12.0-5]", async () => {
    const { client, scram, auth } = await beginScram("correct")
    answer(client, 0x18, scram.final(auth.properties?.authenticationData as Buffer), "OTHER")
    const { reasonCode = 0 } = await client.expectPacket("connack")
    expect(reasonCode).toBeGreaterThanOrEqual(0x80)
    await client.expectClosed()
  })

  it("without a method the broker sends none, and no AUTH [MQTT5-4.12.0-6]", async () => {
    const client = await open(5)
    const { properties } = await client.connect(ann)
    expect(properties?.authenticationMethod).toBeUndefined()
    client.send({ cmd: "pingreq" })
    await client.expectPacket("pingresp")
  })

  it("a client without a method may not begin one [MQTT5-4.12.0-7]", async () => {
    const client = await open(5)
    await client.connect(ann)
    answer(client, 0x19, Buffer.from("x"))
    await client.expectEnd(0x82)
  })

  describe("re-authentication", () => {
    const connected = async () => {
      const { client, scram, auth } = await beginScram("correct")
      answer(client, 0x18, scram.final(auth.properties?.authenticationData as Buffer))
      await client.expectPacket("connack", { reasonCode: 0 })
      return client
    }

    it("goes on while the connection is used [MQTT5-4.12.1-1] [MQTT5-4.12.0-5]", async () => {
      const client = await connected()
      const scram = new Scram("ann", "correct")
      answer(client, 0x19, scram.first())
      const auth = await client.expectPacket("auth", { reasonCode: 0x18 })
      expect(auth.properties?.authenticationMethod).toBe(method)
      await client.expectNothing()
      answer(client, 0x18, scram.final(auth.properties?.authenticationData as Buffer))
      const done = await client.expectPacket("auth", { reasonCode: 0 })
      expect(done.properties?.authenticationMethod).toBe(method)
      expect(scram.isProof(done.properties?.authenticationData)).toBe(true)
      await client.expectNothing()
    })

    it("that fails ends the connection [MQTT5-4.12.1-2]", async () => {
      const client = await connected()
      const scram = new Scram("ann", "wrong")
      answer(client, 0x19, scram.first())
      const auth = await client.expectPacket("auth", { reasonCode: 0x18 })
      answer(client, 0x18, scram.final(auth.properties?.authenticationData as Buffer))
      const { reasonCode = 0 } = await client.expectPacket("disconnect")
      expect([0x86, 0x87]).toContain(reasonCode)
      await client.expectClosed()
    })

    it("with another method is an error [MQTT5-4.12.1-1]", async () => {
      const client = await connected()
      answer(client, 0x19, Buffer.from("x"), "OTHER")
      const { reasonCode = 0 } = await client.expectPacket("disconnect")
      expect([0x82, 0x8c]).toContain(reasonCode)
      await client.expectClosed()
    })
  })
})

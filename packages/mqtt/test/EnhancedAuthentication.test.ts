import { describe, expect, it } from "vitest"
import type { Login, LoginAnswer } from "../src/core/ConnectionContext.js"
import { MqttWorld } from "./support/MqttWorld.js"

/** Asks for the same word twice. */
const twice =
  (admitted: (user: string) => LoginAnswer): Login["exchange"] =>
  (method, _credentials, done) => {
    if (method !== "TWICE") {
      done({ reasonCode: 0x8c, message: "no such method" })
      return
    }
    let steps = 0
    done({
      step: (data, stepDone) => {
        if (data.toString() === "wrong") stepDone({ kind: "refused", refusal: { reasonCode: 0x87, message: "wrong" } })
        else if (++steps === 1) stepDone({ kind: "continue", data: Buffer.from("again") })
        else stepDone({ ...admitted(data.toString()), data: Buffer.from("welcome") } as LoginAnswer)
      }
    })
  }

const login = (admitted: (user: string) => LoginAnswer): Login => ({
  login: (_credentials, done) => done(admitted("plain")),
  exchange: twice(admitted),
  reauthenticate: twice(admitted)
})

const makeWorld = async () => {
  let world: MqttWorld | undefined
  world = await MqttWorld.make({ login: login((user) => (world as MqttWorld).admitted(user)) })
  return world
}

const auth = (reasonCode: number, data: string, method = "TWICE") =>
  ({ cmd: "auth", reasonCode, properties: { authenticationMethod: method, authenticationData: Buffer.from(data) } }) as never

const connect = (method = "TWICE") =>
  ({
    cmd: "connect",
    clientId: "a",
    clean: true,
    keepalive: 0,
    properties: { authenticationMethod: method, authenticationData: Buffer.from("me") }
  }) as never

describe("enhanced authentication", () => {
  it("goes on by AUTH until CONNACK, and later again", async () => {
    const world = await makeWorld()
    const client = world.client(5)
    expect(client.ask(connect())).toMatchObject([
      { cmd: "auth", reasonCode: 0x18, properties: { authenticationMethod: "TWICE", authenticationData: Buffer.from("again") } }
    ])
    expect(client.ask(auth(0x18, "me"))).toMatchObject([
      { cmd: "connack", reasonCode: 0, properties: { authenticationMethod: "TWICE", authenticationData: Buffer.from("welcome") } }
    ])
    expect(client.ask(auth(0x19, "me"))).toMatchObject([{ cmd: "auth", reasonCode: 0x18 }])
    client.subscribe("t")
    expect(client.publish("t", "x")).toMatchObject([{ cmd: "publish" }])
    expect(client.ask(auth(0x18, "me"))).toMatchObject([{ cmd: "auth", reasonCode: 0 }])
    expect(client.ask(auth(0x19, "wrong"))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x87 }])
  })

  it("refuses methods it does not know [MQTT-4.12.0-1], and other methods later [MQTT-4.12.0-5]", async () => {
    const world = await makeWorld()
    expect(world.client(5).ask(connect("OTHER"))).toMatchObject([{ cmd: "connack", reasonCode: 0x8c }])
    const client = world.client(5)
    client.ask(connect())
    client.ask(auth(0x18, "me"))
    expect(client.ask(auth(0x19, "me", "OTHER"))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }])
  })

  it("takes nothing but AUTH and DISCONNECT meanwhile [MQTT-3.1.2-30], and no AUTH without a method [MQTT-4.12.0-6]", async () => {
    const world = await makeWorld()
    const client = world.client(5)
    client.ask(connect())
    expect(client.publish("t", "x")).toMatchObject([{ cmd: "connack", reasonCode: 0x82 }])
    expect(client.closed).toBe(true)
    const plain = world.connect("b")
    expect(plain.ask(auth(0x19, "me"))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }])
  })

  it("does not let another user take the connection over", async () => {
    const world = await makeWorld()
    const client = world.client(5)
    client.ask(connect())
    client.ask(auth(0x18, "me"))
    client.ask(auth(0x19, "me"))
    expect(client.ask(auth(0x18, "somebody else"))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x87 }])
  })

  it("happens again in the client's own tenant, whatever its listener's is", async () => {
    const tenants: Array<string> = []
    let principalTenant = "default"
    const inTenant = (answer: LoginAnswer): LoginAnswer => {
      if (answer.kind !== "admitted") return answer
      const { principal } = answer.admission
      return { ...answer, admission: { ...answer.admission, principal: { ...principal, tenant: principalTenant } } }
    }
    let world: MqttWorld | undefined
    const inner = login((user) => inTenant((world as MqttWorld).admitted(user)))
    const watching =
      (which: "exchange" | "reauthenticate"): Login["exchange"] =>
      (method, credentials, done) => {
        tenants.push(`${which} ${credentials.tenant}`)
        inner[which](method, credentials, done)
      }
    const watched: Login = { ...inner, exchange: watching("exchange"), reauthenticate: watching("reauthenticate") }
    world = await MqttWorld.make({ mqtt: { tenant: "of-the-listener" }, login: watched })
    const client = world.client(5)
    client.ask(connect())
    client.ask(auth(0x18, "me"))
    client.ask(auth(0x19, "me"))
    expect(client.ask(auth(0x18, "me"))).toMatchObject([{ cmd: "auth", reasonCode: 0 }])
    expect(tenants).toEqual(["exchange of-the-listener", "reauthenticate default"])
    principalTenant = "another"
    client.ask(auth(0x19, "me"))
    expect(client.ask(auth(0x18, "me"))).toMatchObject([{ cmd: "disconnect", reasonCode: 0x87 }])
  })
})

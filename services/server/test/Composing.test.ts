/**
 * The example of docs/composing.md is what stands in composing.example.ts; it compiles and runs; a forgotten part does not compile.
 */
import * as Messaging from "@effectmq/messaging/Messaging"
import * as MetadataStore from "@effectmq/metadata/MetadataStore"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as MqttServer from "@effectmq/mqtt/MqttServer"
import * as SessionStore from "@effectmq/mqtt/SessionStore"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import * as Network from "@effectmq/network/Network"
import * as AclAuthorizer from "@effectmq/security/AclAuthorizer"
import type { Authenticator } from "@effectmq/security/Authenticator"
import * as Bans from "@effectmq/security/Bans"
import * as FlappingDetector from "@effectmq/security/FlappingDetector"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { describe, expect, expectTypeOf, it } from "vitest"
import { broker } from "./composing.example.js"

/** CONNECT of MQTT 3.1.1 with a user name and a password. */
const connectPacket = (clientId: string, user: string, password: string): Buffer => {
  const text = (value: string) => Buffer.concat([Buffer.from([0, value.length]), Buffer.from(value)])
  const body = Buffer.concat([text("MQTT"), Buffer.from([4, 0b1100_0010, 0, 60]), text(clientId), text(user), text(password)])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

const answerOf = async (socket: Socket, packet: Buffer): Promise<Buffer> => {
  socket.write(packet)
  const [answer] = (await once(socket, "data")) as [Buffer]
  return answer
}

const withSocket = <A>(port: number, use: (socket: Socket) => Promise<A>) =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const socket = connect(port, "127.0.0.1")
      await once(socket, "connect")
      return socket
    }),
    (socket) => Effect.promise(() => use(socket)),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("the example of docs/composing.md", () => {
  it("is this file", async () => {
    const [page, example] = await Promise.all(
      ["../../../docs/composing.md", "composing.example.ts"].map((path) => readFile(new URL(path, import.meta.url), "utf8"))
    )
    expect(page).toContain(`\`\`\`ts\n${(example ?? "").trimEnd()}\n\`\`\``)
  })

  it("runs, and lets in who knows the word of the day", () =>
    Effect.gen(function* () {
      const { listeners } = Context.get(yield* Layer.build(broker(0)), MqttServer.MqttServer)
      const port = listeners[0]?.port ?? 0
      yield* withSocket(port, async (socket) => {
        expect(await answerOf(socket, connectPacket("a", "alice", "sesame"))).toEqual(Buffer.from([0x20, 2, 0, 0]))
        // SUBSCRIBE to a/b with QoS 0, then PUBLISH to it.
        const subscribed = await answerOf(socket, Buffer.from([0x82, 8, 0, 1, 0, 3, 0x61, 0x2f, 0x62, 0]))
        expect(subscribed).toEqual(Buffer.from([0x90, 3, 0, 1, 0]))
        const publish = Buffer.from([0x30, 7, 0, 3, 0x61, 0x2f, 0x62, 0x68, 0x69])
        expect(await answerOf(socket, publish)).toEqual(publish)
      })
      yield* withSocket(port, async (socket) => {
        // Return code 4: bad user name or password.
        expect(await answerOf(socket, connectPacket("a", "alice", "simsim"))).toEqual(Buffer.from([0x20, 2, 0, 4]))
      })
    }).pipe(Effect.scoped, Effect.runPromise))

  it("does not compile where a part is forgotten", () => {
    const withoutAuthenticator = MqttServer.layer({ listeners: [] }).pipe(
      Layer.provide(Layer.mergeAll(AclAuthorizer.layerAllowAll, Bans.layerNone, FlappingDetector.layerOff)),
      Layer.provide(Layer.mergeAll(Messaging.layer({ engine: "memory" }), SessionStore.layerMemory, Network.layer)),
      Layer.provide(Layer.mergeAll(ShardEngines.layer({}), MetadataStore.layerMemory(), ConnectionLimits.layer())),
      Layer.provide(PrometheusMeters.layer())
    )
    // @ts-expect-error: nobody says who a client is
    const program: Effect.Effect<never, unknown> = Layer.launch(withoutAuthenticator)
    expect(program).toBeDefined()
    expectTypeOf<Layer.Layer.Context<typeof withoutAuthenticator>>().toEqualTypeOf<Authenticator>()
    expectTypeOf<Layer.Layer.Context<ReturnType<typeof broker>>>().toEqualTypeOf<never>()
  })
})

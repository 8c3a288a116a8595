import * as Messaging from "@effectmq/messaging/Messaging"
import * as MetadataStore from "@effectmq/metadata/MetadataStore"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as MqttServer from "@effectmq/mqtt/MqttServer"
import * as SessionStore from "@effectmq/mqtt/SessionStore"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import * as Network from "@effectmq/network/Network"
import * as AclAuthorizer from "@effectmq/security/AclAuthorizer"
import { AuthenticationFailed, Authenticator } from "@effectmq/security/Authenticator"
import * as Bans from "@effectmq/security/Bans"
import * as FlappingDetector from "@effectmq/security/FlappingDetector"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Whoever knows the word of the day may come in, as whom they say they are. */
const wordOfTheDay = Layer.succeed(Authenticator, {
  authenticate: ({ tenant, username, password }) =>
    password !== undefined && Buffer.from(password).toString() === "sesame"
      ? Effect.succeed({ tenant, user: username, superuser: false })
      : Effect.fail(new AuthenticationFailed({ reason: "bad-credentials", message: "not the word of the day" })),
  exchange: () => Effect.fail(new AuthenticationFailed({ reason: "bad-method", message: "passwords only" })),
  open: () => false
})

/** An MQTT broker that keeps everything in memory. */
export const broker = (port: number) =>
  MqttServer.layer({ listeners: [{ kind: "tcp", host: "127.0.0.1", port }] }).pipe(
    Layer.provide(Layer.mergeAll(wordOfTheDay, AclAuthorizer.layerAllowAll, Bans.layerNone, FlappingDetector.layerOff)),
    Layer.provide(Layer.mergeAll(Messaging.layer({ engine: "memory" }), SessionStore.layerMemory, Network.layer)),
    Layer.provide(Layer.mergeAll(ShardEngines.layer({}), MetadataStore.layerMemory(), ConnectionLimits.layer())),
    Layer.provide(PrometheusMeters.layer())
  )

/**
 * MQTT as the settings say: its listeners, its sessions for the admin API, and where it listens told to the node.
 */
import { Authenticator } from "@effectmq/security/Authenticator"
import * as MqttServer from "@effectmq/mqtt/MqttServer"
import * as SessionStore from "@effectmq/mqtt/SessionStore"
import type { ListenerLimits } from "@effectmq/network/ListenOptions"
import * as Network from "@effectmq/network/Network"
import type { Live } from "@effectmq/schemas/config/Live"
import type { Settings } from "@effectmq/schemas/config/Settings"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AdminServer } from "./admin/AdminServer.js"
import { Sessions } from "./admin/Sessions.js"
import { listenerLimits, mqttListeners } from "./MqttListeners.js"
import { mqttOptions, sessionStoreOptions } from "./MqttSettings.js"
import { NodeState } from "./NodeState.js"

/** What the admin API sees of it. */
const sessions = Layer.effect(
  Sessions,
  Effect.map(MqttServer.MqttServer, (server) => ({
    ofTenant: (tenant) => server.registry(tenant),
    slowSubscribers: (tenant) => server.slowSubscribers(tenant)
  }))
)

export const layer = (live: Live<Settings>) =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const settings = live.current
      const state = yield* NodeState
      const admin = yield* AdminServer
      const authenticator = yield* Authenticator
      const open = authenticator.open()
      const listeners = yield* mqttListeners(settings, open)
      state.authentication = () => (authenticator.open() ? "open" : settings["auth.allowAnonymous"] ? "anonymous" : "users")
      state.listeners.push({ name: "admin.http", host: admin.host, port: admin.port })
      const server = MqttServer.layer({ mqtt: live.map(mqttOptions), listeners: listeners.map(({ options }) => options) })
      const limits = live.map(listenerLimits)
      const told = Layer.scopedDiscard(
        Effect.gen(function* () {
          const running = yield* MqttServer.MqttServer
          running.listeners.forEach(({ host, port }, index) => {
            state.listeners.push({ name: listeners[index]?.name ?? "mqtt", host, port })
          })
          const configure = (now: ListenerLimits) => {
            for (const listener of running.listeners) listener.configure(now)
          }
          const stop = limits.onChange(configure)
          yield* Effect.addFinalizer(() => Effect.sync(stop))
          configure(limits.current)
        })
      )
      return Layer.merge(sessions, told).pipe(
        Layer.provide(server),
        Layer.provide(SessionStore.layer(live.map(sessionStoreOptions))),
        Layer.provide(Network.layer)
      )
    })
  )

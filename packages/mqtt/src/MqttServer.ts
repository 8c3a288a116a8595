/**
 * MQTT 3.1, 3.1.1 and 5.0 over TCP, TLS, WebSocket and secure WebSocket.
 *
 * `MqttServer.layer(options)` restores the sessions of its tenant, then listens. When its scope ends it says goodbye to every
 * client (DISCONNECT 0x8B), waits for them, and writes what it knows of their sessions.
 */
import { randomBytes } from "node:crypto"
import { Messaging } from "@effectmq/messaging/Messaging"
import { systemTime } from "@effectmq/messaging/Time"
import { Alarms } from "@effectmq/metrics/Alarms"
import { Meters } from "@effectmq/metrics/Meters"
import type { ConnectionAcceptor } from "@effectmq/network/Connection"
import type { ListenError } from "@effectmq/network/ListenError"
import type { BoundListener } from "@effectmq/network/Listener"
import type { ListenOptions } from "@effectmq/network/ListenOptions"
import { LineBudget } from "@effectmq/network/core/LineBudget"
import { Network } from "@effectmq/network/Network"
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import { Authenticator } from "@effectmq/security/Authenticator"
import { Authorizer } from "@effectmq/security/Authorizer"
import { Bans } from "@effectmq/security/Bans"
import { FlappingDetector } from "@effectmq/security/FlappingDetector"
import { Tenancy } from "@effectmq/security/Tenancy"
import { TenantQuotas } from "@effectmq/security/TenantQuotas"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import { PacketLimits } from "./codec/PacketLimits.js"
import { ConnectionCounters, type ConnectionContext } from "./core/ConnectionContext.js"
import { ConnectionMachine } from "./core/ConnectionMachine.js"
import { defaultMqttOptions, type MqttOptions } from "./core/MqttOptions.js"
import { TopicRules } from "./core/TopicRules.js"
import { type InvalidRewriteRule, invalidRewriteRule } from "./features/core/TopicRewrite.js"
import { SharedTimer } from "./features/SharedTimer.js"
import type { SlowSubscriber } from "./features/SlowSubscribers.js"
import { makeLogin } from "./LoginService.js"
import { figuresOf, registerMeters } from "./MqttMeters.js"
import type { SessionRegistry } from "./SessionRegistry.js"
import { SessionStore } from "./SessionStore.js"
import { TenantTable } from "./TenantTable.js"

export interface MqttServerOptions {
  readonly listeners: ReadonlyArray<ListenOptions>
  /** What is not given is as in `defaultMqttOptions`. What says who the broker is stays as it was first. */
  readonly mqtt?: Options<Partial<MqttOptions>>
}

export interface MqttServerService {
  /** In the order of the options, with the ports that were bound. */
  readonly listeners: ReadonlyArray<BoundListener>
  /** Sessions of a tenant; undefined where none of its clients was ever here. */
  registry(tenant: string): SessionRegistry | undefined
  /** Slowest first. */
  slowSubscribers(tenant: string): ReadonlyArray<SlowSubscriber>
}

export class MqttServer extends Context.Tag("@effectmq/mqtt/MqttServer")<MqttServer, MqttServerService>() {}

/** How often deadlines are looked at, and how long a connection keeps what it was allowed. */
const tickMs = 250

/** At most one line in so long about packets that there was no room for. */
const unfinishedQuietMs = 10_000

export const layer = (
  options: MqttServerOptions
): Layer.Layer<
  MqttServer,
  ListenError | StorageError | InvalidRewriteRule,
  Messaging | SessionStore | Authenticator | Authorizer | Bans | FlappingDetector | Network | Meters
> => Layer.scoped(MqttServer, make(options))

/** Does the task at once, and again and again at the interval that it was given last; 0: not at all. */
const repeater = (task: () => void) =>
  Effect.map(
    FiberHandle.makeRuntime<never>(),
    (run) => (intervalMs: number) =>
      void run(intervalMs === 0 ? Effect.void : Effect.repeat(Effect.sync(task), Schedule.spaced(intervalMs)))
  )

const make = (given: MqttServerOptions) =>
  Effect.gen(function* () {
    const live = liveOf(given.mqtt ?? {})
    const first = live.current
    const options: MqttOptions = { ...defaultMqttOptions, ...first }
    const invalid = invalidRewriteRule(options.rewrite)
    if (invalid !== undefined) return yield* Effect.fail(invalid)
    const messaging = yield* Messaging
    const sessions = yield* SessionStore
    const network = yield* Network
    const meters = yield* Meters
    const authenticator = yield* Authenticator
    const authorizer = yield* Authorizer
    const bans = yield* Bans
    const flapping = yield* FlappingDetector
    const runtime = yield* Effect.runtime<never>()
    const runFork = Runtime.runFork(runtime)
    const nowMs = () => Date.now()
    const uptimeMs = () => performance.now()

    // Where nobody brings quotas, the configured rates hold for every tenant.
    const quotas = yield* Effect.serviceOption(TenantQuotas)
    const tenancy = Option.getOrUndefined(yield* Effect.serviceOption(Tenancy))
    const tenants = yield* TenantTable.make(messaging, sessions, options, { nowMs, uptimeMs }, Option.getOrUndefined(quotas))
    // Wills, expiry and delayed messages of every tenant go on from the start.
    for (const tenant of new Set([options.tenant, ...(yield* sessions.tenants)])) yield* tenants.open(tenant)

    const waits = new SharedTimer({ nowMs: uptimeMs, after: systemTime.after })
    yield* Effect.addFinalizer(() => Effect.sync(() => waits.stop()))
    const context: ConnectionContext & { shuttingDown: boolean } = {
      options,
      rules: new TopicRules(options),
      packetLimits: new PacketLimits(options.userPropertiesMax, options.unfinishedPacketsBytesMax, options.filtersPerPacketMax),
      unfinishedLines: new LineBudget(1, unfinishedQuietMs, nowMs()),
      counters: new ConnectionCounters(),
      login: makeLogin(
        { authenticator, authorizer, bans, flapping, tenancy, nowMs, tenant: (name) => tenants.open(name) },
        runtime
      ),
      nowMs,
      receivedAtMs: nowMs(),
      epoch: 0,
      randomClientId: () => `emq${randomBytes(10).toString("hex")}`,
      after: (delayMs, task) => waits.after(delayMs, task),
      log: (level, message, fields) => {
        const line =
          level === "debug" ? Effect.logDebug(message) : level === "info" ? Effect.logInfo(message) : Effect.logWarning(message)
        runFork(Effect.annotateLogs(line, fields))
      },
      shuttingDown: false
    }
    registerMeters(meters, context.counters, context.packetLimits, tenants)

    const every = (intervalMs: number, task: () => void) =>
      Effect.sync(task).pipe(Effect.repeat(Schedule.spaced(intervalMs)), Effect.forkScoped)
    yield* every(tickMs, () => {
      context.epoch++
      tenants.advance(nowMs())
    })
    const saving = yield* repeater(() => tenants.save())
    const telling = yield* repeater(() => {
      const snapshot = meters.snapshot()
      for (const tenant of tenants.values()) {
        // What the node does as a whole is not other tenants' business.
        tenant.sys.publish(figuresOf(context.counters, tenant, snapshot), tenant.tenant === options.tenant ? snapshot : new Map())
      }
    })
    const alarms = yield* Effect.serviceOption(Alarms)
    if (Option.isSome(alarms)) {
      const stop = alarms.value.onChange((alarm) => {
        if (context.options.sysIntervalMs > 0) tenants.get(options.tenant)?.sys.alarmChanged(alarm)
      })
      yield* Effect.addFinalizer(() => Effect.sync(stop))
    }
    const configure = (changed: Partial<MqttOptions>) => {
      const before = context.options
      const { nodeName, softwareVersion, tenant } = before
      let now: MqttOptions = { ...defaultMqttOptions, ...changed, nodeName, softwareVersion, tenant }
      const wrong = invalidRewriteRule(now.rewrite)
      if (wrong !== undefined) {
        context.log("warn", "the rules of rewriting stay as they were", { problem: wrong.message })
        now = { ...now, rewrite: before.rewrite }
      }
      context.options = now
      context.rules = new TopicRules(now)
      context.packetLimits.userPropertiesMax = now.userPropertiesMax
      context.packetLimits.filtersMax = now.filtersPerPacketMax
      context.packetLimits.unfinishedBytesMax = now.unfinishedPacketsBytesMax
      // What a connection remembers of a topic was judged by the old rules.
      context.epoch++
      tenants.configure(now)
      if (now.progressIntervalMs !== before.progressIntervalMs) saving(now.progressIntervalMs)
      if (now.sysIntervalMs !== before.sysIntervalMs) telling(now.sysIntervalMs)
    }
    saving(options.progressIntervalMs)
    telling(options.sysIntervalMs)
    const stopFollowing = live.onChange(configure)
    yield* Effect.addFinalizer(() => Effect.sync(stopFollowing))
    // They may have changed while sessions were restored.
    if (live.current !== first) configure(live.current)

    // Finalizers run last to first: listeners drain, then sessions are saved.
    yield* Effect.addFinalizer(() => tenants.saveAll)
    const accept: ConnectionAcceptor = (connection) => new ConnectionMachine(connection, context)
    const listeners: Array<BoundListener> = []
    for (const listener of given.listeners) listeners.push(yield* network.listen(listener, accept))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        context.shuttingDown = true
      })
    )

    const service: MqttServerService = {
      listeners,
      registry: (tenant) => tenants.get(tenant)?.registry,
      slowSubscribers: (tenant) => tenants.get(tenant)?.slow.list(nowMs()) ?? []
    }
    return service
  })

/**
 * One node as `services/server` composes it, less what does not matter to messages (admin, users), on a simulated disk and the
 * network in memory. It lives in a `VirtualHost`, so it can be killed between any two of its tasks.
 */
import * as Messaging from "@effectmq/messaging/Messaging"
import * as MetadataStore from "@effectmq/metadata/MetadataStore"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import type { MqttOptions } from "@effectmq/mqtt/core/MqttOptions"
import * as MqttServer from "@effectmq/mqtt/MqttServer"
import * as SessionStore from "@effectmq/mqtt/SessionStore"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import * as MemoryNetwork from "@effectmq/network/MemoryNetwork"
import * as AclAuthorizer from "@effectmq/security/AclAuthorizer"
import { AuthenticationFailed, Authenticator } from "@effectmq/security/Authenticator"
import * as Bans from "@effectmq/security/Bans"
import * as FlappingDetector from "@effectmq/security/FlappingDetector"
import { Disk, type DiskService } from "@effectmq/storage/Disk"
import * as FileEngine from "@effectmq/storage/FileEngine"
import { ShardEngine, type ShardEngineService } from "@effectmq/storage/ShardEngine"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import type { VirtualHost } from "@effectmq/testing/VirtualHost"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"

/** What stands between the broker and its ports: bugs made on purpose (`NodeMutants`). */
export interface PortWraps {
  readonly wrapDisk?: (disk: DiskService) => DiskService
  readonly wrapEngine?: (engine: ShardEngineService) => ShardEngineService
  readonly wrapSessions?: (sessions: SessionStore.SessionStoreService) => SessionStore.SessionStoreService
}

export interface SimNodeOptions {
  readonly file: Omit<FileEngine.FileEngineOptions, "directory">
  readonly messaging: Partial<Messaging.MessagingOptions>
  readonly sessionShards: number
  readonly mqtt: Partial<MqttOptions>
  /** Bytes of output above which a connection counts as saturated. */
  readonly highWaterMarkBytes: number
  readonly wraps: PortWraps
  readonly log: (line: string) => void
}

/** Everybody may come in. */
const anybody = Layer.succeed(Authenticator, {
  authenticate: ({ tenant }) => Effect.succeed({ tenant, user: undefined, superuser: false }),
  exchange: () => Effect.fail(new AuthenticationFailed({ reason: "bad-method", message: "not here" })),
  open: () => true
})

const logger = (log: (line: string) => void) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message, cause, annotations }) => {
      const fields = [...annotations].map(([name, value]) => `${name}=${String(value)}`).join(" ")
      log(`${logLevel.label} ${String(message)} ${fields}${cause._tag === "Empty" ? "" : ` ${JSON.stringify(cause)}`}`)
    })
  )

const same = <A>(port: A): A => port

const layerOf = (disk: DiskService, options: SimNodeOptions) => {
  const { file, messaging, sessionShards, mqtt, highWaterMarkBytes, wraps, log } = options
  const { wrapDisk = same, wrapEngine = same, wrapSessions = same } = wraps
  const engine = FileEngine.layerDisk({ ...file, directory: "/data" }).pipe(
    Layer.map((context) => Context.make(ShardEngine, wrapEngine(Context.get(context, ShardEngine)))),
    Layer.provide(Layer.succeed(Disk, wrapDisk(disk)))
  )
  const sessions = SessionStore.layer({ shards: sessionShards }).pipe(
    Layer.map((context) => Context.make(SessionStore.SessionStore, wrapSessions(Context.get(context, SessionStore.SessionStore))))
  )
  const lowWaterMarkBytes = Math.floor(highWaterMarkBytes / 4)
  const listener = { kind: "tcp", host: "127.0.0.1", port: 1883, highWaterMarkBytes, lowWaterMarkBytes } as const
  return MqttServer.layer({ listeners: [listener], mqtt: { sysIntervalMs: 0, ...mqtt } }).pipe(
    Layer.provide(Layer.mergeAll(anybody, AclAuthorizer.layerAllowAll, Bans.layerNone, FlappingDetector.layerOff)),
    Layer.provide(Layer.mergeAll(Messaging.layer(messaging), sessions)),
    Layer.provideMerge(MemoryNetwork.layer()),
    Layer.provide(Layer.mergeAll(ShardEngines.layerOf([engine]), MetadataStore.layerMemory(), ConnectionLimits.layer())),
    Layer.provide(PrometheusMeters.layer()),
    Layer.provide(Layer.merge(logger(log), Logger.minimumLogLevel(LogLevel.Warning)))
  )
}

export type Started = { readonly node: SimNode } | { readonly failure: string } | "halted"

export class SimNode {
  private constructor(
    private readonly host: VirtualHost,
    private readonly scope: Scope.CloseableScope,
    readonly network: MemoryNetwork.MemoryNetworkService,
    readonly server: MqttServer.MqttServerService
  ) {}

  /** Starts a node from what is on the disk; `halted` where the machine stopped meanwhile. */
  static async start(host: VirtualHost, disk: DiskService, options: SimNodeOptions): Promise<Started> {
    const scope = Effect.runSync(Scope.make())
    let exit: Exit.Exit<Context.Context<MqttServer.MqttServer | MemoryNetwork.MemoryNetwork>, unknown> | undefined
    void Effect.runPromiseExit(Layer.buildWithScope(layerOf(disk, options), scope)).then((result) => {
      exit = result
    })
    if (!(await waitFor(host, () => exit !== undefined))) return host.halted() ? "halted" : { failure: "it does not come up" }
    const built = exit as unknown as Exit.Exit<Context.Context<MqttServer.MqttServer | MemoryNetwork.MemoryNetwork>, unknown>
    if (Exit.isFailure(built)) return host.halted() ? "halted" : { failure: String(built.cause) }
    const network = Context.get(built.value, MemoryNetwork.MemoryNetwork)
    return { node: new SimNode(host, scope, network, Context.get(built.value, MqttServer.MqttServer)) }
  }

  /** Stops as the real one does on a signal; false where that did not end, or the machine stopped meanwhile. */
  async stop(): Promise<boolean> {
    let done = false
    void Effect.runPromiseExit(Scope.close(this.scope, Exit.void)).then(() => {
      done = true
    })
    return waitFor(this.host, () => done)
  }
}

/** Far more than starting or stopping takes. */
const patienceMs = 30_000

const waitFor = async (host: VirtualHost, condition: () => boolean): Promise<boolean> => {
  const untilMs = host.nowMs + patienceMs
  while (!condition() && host.nowMs < untilMs && !host.halted()) {
    if ((await host.run(20)) === 0) await host.advance(0.5)
  }
  return condition()
}

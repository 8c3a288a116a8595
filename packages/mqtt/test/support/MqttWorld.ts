/**
 * A whole MQTT broker of one tenant over manual shards and time: everything but sockets and the clock.
 */
import { RouteTable } from "@effectmq/messaging/core/RouteTable"
import { Delayed } from "@effectmq/messaging/Delayed"
import { GroupStore } from "@effectmq/messaging/GroupStore"
import { MessageLog } from "@effectmq/messaging/MessageLog"
import { Retained } from "@effectmq/messaging/Retained"
import { Streams } from "@effectmq/messaging/Streams"
import { TenantSpace } from "@effectmq/messaging/TenantSpace"
import { LineBudget } from "@effectmq/network/core/LineBudget"
import type { Permissions } from "@effectmq/security/Authorizer"
import type { TenantQuotasService } from "@effectmq/security/TenantQuotas"
import type { ShardEngineService } from "@effectmq/storage/ShardEngine"
import * as ShardEngines from "@effectmq/storage/ShardEngines"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as mqtt from "mqtt-packet"
import { PacketLimits } from "../../src/codec/PacketLimits.js"
import { type ConnectionContext, ConnectionCounters, type Login, type LoginAnswer } from "../../src/core/ConnectionContext.js"
import { ConnectionMachine } from "../../src/core/ConnectionMachine.js"
import { defaultMqttOptions, type MqttOptions } from "../../src/core/MqttOptions.js"
import { TopicRules } from "../../src/core/TopicRules.js"
import * as SessionStore from "../../src/SessionStore.js"
import { type OpenTenant, TenantTable } from "../../src/TenantTable.js"
import { ManualShard } from "@effectmq/testing/ManualShard"
import { ManualTime } from "@effectmq/testing/ManualTime"
import { MemoryConnection, type Packet } from "./MemoryConnection.js"

export interface WorldOptions {
  readonly mqtt?: Partial<MqttOptions>
  readonly sources?: number
  readonly feedQueueMax?: number
  readonly permissions?: Permissions
  readonly login?: Login
  readonly quotas?: TenantQuotasService
}

const allowAll: Permissions = { publish: () => true, subscribe: () => true }

export class MqttWorld {
  readonly time: ManualTime
  readonly context: ConnectionContext & { epoch: number; shuttingDown: boolean; receivedAtMs: number }
  readonly options: MqttOptions
  tenant!: OpenTenant
  /** What was logged about connections. */
  readonly lines: Array<{
    readonly level: string
    readonly message: string
    readonly fields: Readonly<Record<string, unknown>>
  }> = []
  private tenants!: TenantTable
  private assigned = 0

  private constructor(
    private readonly shardsByTopic: Map<string, ManualShard>,
    private readonly given: WorldOptions,
    nowMs: number
  ) {
    this.time = new ManualTime(nowMs)
    this.options = { ...defaultMqttOptions, ...given.mqtt }
    this.context = {
      options: this.options,
      rules: new TopicRules(this.options),
      packetLimits: new PacketLimits(
        this.options.userPropertiesMax,
        this.options.unfinishedPacketsBytesMax,
        this.options.filtersPerPacketMax
      ),
      unfinishedLines: new LineBudget(1, 10_000, nowMs),
      counters: new ConnectionCounters(),
      login: given.login ?? {
        login: (_credentials, done) => done(this.admitted()),
        exchange: (_method, _credentials, done) => done({ reasonCode: 0x8c, message: "no method" }),
        reauthenticate: (_method, _credentials, done) => done({ reasonCode: 0x8c, message: "no method" })
      },
      nowMs: () => this.time.nowMs(),
      receivedAtMs: nowMs,
      epoch: 0,
      randomClientId: () => `assigned${++this.assigned}`,
      after: (delayMs, task) => this.time.after(delayMs, task),
      log: (level, message, fields) => void this.lines.push({ level, message, fields }),
      shuttingDown: false
    }
  }

  static async make(options: WorldOptions = {}): Promise<MqttWorld> {
    const world = new MqttWorld(new Map(), options, 1_700_000_000_000)
    await world.open()
    return world
  }

  admitted(user?: string): LoginAnswer {
    return {
      kind: "admitted",
      data: undefined,
      admission: {
        principal: { tenant: "default", user, superuser: false },
        permissions: this.given.permissions ?? allowAll,
        tenant: this.tenant
      }
    }
  }

  /** The process dies: only what was committed, and `extra` more batches of each shard, is left. */
  async crash(extra = 0): Promise<MqttWorld> {
    const shards = new Map([...this.shardsByTopic].map(([topic, shard]) => [topic, shard.afterCrash(extra)]))
    const world = new MqttWorld(shards, this.given, this.time.nowMs() + 1000)
    await world.open()
    return world
  }

  shard(topic: string): ManualShard {
    let shard = this.shardsByTopic.get(topic)
    if (shard === undefined) {
      const [name, partition] = topic.split("/") as [string, string]
      shard = new ManualShard({ tenant: "default", topic: name, partition: Number(partition) })
      this.shardsByTopic.set(topic, shard)
    }
    return shard
  }

  get shards(): Iterable<ManualShard> {
    return this.shardsByTopic.values()
  }

  private async open(): Promise<void> {
    const { time } = this
    const sources = this.given.sources ?? 2
    const logShards = Array.from({ length: sources }, (_, index) => this.shard(`__mqtt/${index}`))
    const slow = logShards.map((shard) => shard.slowReads)
    for (const shard of logShards) shard.slowReads = false
    const engine: ShardEngineService = {
      name: "memory",
      open: (id) => Effect.sync(() => this.shard(`${id.topic}/${id.partition}`)),
      list: Effect.sync(() => [...this.shardsByTopic.values()].map(({ id }) => id)),
      remove: () => Effect.void,
      clean: Effect.void,
      fenced: () => undefined
    }
    const engines = ShardEngines.make([engine])
    const routes = new RouteTable(sources)
    const run = (effect: Effect.Effect<void>) => void Effect.runFork(effect)
    const log = new MessageLog(logShards, time, run, (publish) => space.committed(publish))
    const space: TenantSpace = new TenantSpace(
      "default",
      routes,
      log,
      await Effect.runPromise(
        Retained.open(this.shard("__retained/0"), time, { messagesMax: 1000, bytesMax: 100_000_000, payloadBytesMax: 100_000 })
      ),
      await Effect.runPromise(Delayed.open(this.shard("__delayed/0"), time, { countMax: 100, bytesMax: 1_000_000 })),
      new Streams("default", engines, routes, time),
      await Effect.runPromise(GroupStore.open(this.shard("__groups/0"), time)),
      time,
      {
        sharedStrategy: "round-robin",
        feedQueueMax: this.given.feedQueueMax ?? 100,
        feedQueueBytesMax: 1_000_000,
        offlineMax: 100_000
      },
      () => 0.5
    )
    const store = await Effect.runPromise(
      Effect.provide(
        SessionStore.SessionStore,
        SessionStore.layer({ engine: "memory", shards: 2 }, time).pipe(
          Layer.provide(Layer.succeed(ShardEngines.ShardEngines, engines))
        )
      )
    )
    const messaging = { space: () => Effect.succeed(space), spaces: () => [space] }
    this.tenants = await Effect.runPromise(
      TenantTable.make(
        messaging,
        store,
        this.options,
        { nowMs: () => time.nowMs(), uptimeMs: () => time.uptimeMs() },
        this.given.quotas
      )
    )
    this.tenant = await Effect.runPromise(this.tenants.open("default"))
    for (const [index, shard] of logShards.entries()) shard.slowReads = slow[index] as boolean
  }

  /** Ends ticks, commits and reads until nothing moves any more. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      this.time.endTick()
      let waiting = 0
      for (const shard of this.shards) {
        waiting += shard.waiting
        shard.commit()
        shard.completeReads()
      }
      if (waiting === 0 && this.time.pending === 0) return
    }
    throw new Error("the world does not come to rest")
  }

  /** Writes lazily kept progress and the checkpoint. */
  save(): void {
    this.tenants.save()
  }

  /** Lets time pass. */
  advance(ms: number): void {
    this.time.advance(ms)
    this.context.epoch++
    this.tenants.advance(this.time.nowMs())
  }

  client(version: 3 | 4 | 5 = 5): WorldClient {
    const connection = new MemoryConnection(version)
    const machine = new ConnectionMachine(connection, this.context)
    connection.handler = machine
    return new WorldClient(this, connection, machine, version)
  }

  /** A client that is connected; its CONNACK is taken. */
  connect(clientId: string, more: Partial<mqtt.IConnectPacket> & { readonly version?: 3 | 4 | 5 } = {}): WorldClient {
    const { version = 5, ...fields } = more
    const client = this.client(version)
    client.send({ cmd: "connect", clientId, clean: true, keepalive: 0, ...fields } as mqtt.IConnectPacket)
    this.settle()
    client.connection.flush()
    client.connack = client.connection.received.shift()
    return client
  }
}

export class WorldClient {
  connack: Packet | undefined

  constructor(
    readonly world: MqttWorld,
    readonly connection: MemoryConnection,
    readonly machine: ConnectionMachine,
    readonly version: 3 | 4 | 5
  ) {}

  get closed(): boolean {
    return this.connection.closedWith !== undefined
  }

  send(packet: mqtt.Packet): void {
    const named =
      packet.cmd === "connect"
        ? { protocolId: this.version === 3 ? "MQIsdp" : "MQTT", protocolVersion: this.version, ...packet }
        : packet
    this.raw(mqtt.generate(named as mqtt.Packet, { protocolVersion: this.version }))
  }

  raw(bytes: Buffer): void {
    if (!this.closed) this.machine.onData(bytes)
    this.connection.flush()
    if (this.closed) this.connection.cut()
  }

  /** Sends, lets everything come to rest, and gives what came back. */
  ask(packet: mqtt.Packet): Array<Packet> {
    this.send(packet)
    this.world.settle()
    return this.take()
  }

  take(): Array<Packet> {
    return this.connection.take()
  }

  subscribe(
    filter: string,
    options: Partial<mqtt.ISubscription> = {},
    properties?: mqtt.ISubscribePacket["properties"]
  ): Array<Packet> {
    return this.ask({
      cmd: "subscribe",
      messageId: 1000,
      subscriptions: [{ topic: filter, qos: 0, nl: false, rap: false, rh: 0, ...options }],
      ...(properties === undefined ? {} : { properties })
    })
  }

  publish(topic: string, payload: string, more: Partial<mqtt.IPublishPacket> = {}): Array<Packet> {
    return this.ask({ cmd: "publish", topic, payload, qos: 0, retain: false, dup: false, ...more } as mqtt.IPublishPacket)
  }

  cut(): void {
    this.connection.cut()
  }
}

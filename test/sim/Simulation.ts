/**
 * One run of the crash simulation: a node, a few clients that obey the protocol, and a driver that lets them do things, lets time
 * pass and kills the node, all drawn from one seed. Then faults stop, everybody comes back, everything drains, and what
 * happened is judged. The same seed gives the same run.
 */
import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import { VirtualHost } from "@effectmq/testing/VirtualHost"
import { checks, retainedNow } from "./Checks.js"
import { Ledger, type QoS } from "./Ledger.js"
import { ModelClient } from "./ModelClient.js"
import { type Action, makePlan, type Plan, retainedTopic } from "./Plan.js"
import { type PortWraps, SimNode, type SimNodeOptions } from "./SimNode.js"
import { SlowDisk } from "./SlowDisk.js"

/** Anew for every start of the node. */
export type SimulationOptions = PortWraps

export interface Outcome {
  readonly seed: number
  /** Empty where everything held. */
  readonly faults: ReadonlyArray<string>
  readonly trace: ReadonlyArray<string>
  readonly traceHash: string
  readonly stats: {
    readonly published: number
    readonly acknowledged: number
    readonly arrived: number
    readonly crashes: number
    readonly restarts: number
    readonly simulatedMs: number
    readonly tasks: number
  }
}

const startMs = 1_700_000_000_000
/** Simulated time in which a healthy node has long done everything. */
const drainMs = 60_000
/** Longer than anything waits to be sent again, or to be due. */
const quietMs = 5_000

class Simulation {
  private readonly random: SeededRandom
  private readonly host: VirtualHost
  private readonly plan: Plan
  private readonly ledger: Ledger
  private readonly clients: Array<ModelClient>
  private readonly latencies: SeededRandom
  private disk: SimulatedDisk
  private node: SimNode | undefined
  private readonly nodeOptions: SimNodeOptions
  private starts = 0
  /** Steps until the node, which takes no more writes, is started again. */
  private fencedSteps = 0

  constructor(
    private readonly seed: number,
    options: SimulationOptions
  ) {
    this.random = new SeededRandom(seed)
    this.plan = makePlan(new SeededRandom(seed, 1))
    this.latencies = new SeededRandom(seed, 2)
    this.disk = new SimulatedDisk(new SeededRandom(seed, 3).next)
    this.host = new VirtualHost({ startMs, random: new SeededRandom(seed, 4).next })
    this.host.halted = () => this.disk.crashed
    this.ledger = new Ledger(() => this.host.nowMs)
    this.clients = this.plan.clients.map((profile) => new ModelClient(profile, this.ledger))
    this.nodeOptions = { ...this.plan.node, wraps: options, log: (line) => this.ledger.note(`node: ${line}`) }
  }

  async run(): Promise<Outcome> {
    const uninstall = this.host.install()
    try {
      await this.start()
      for (const client of this.clients) if (this.node !== undefined) client.connect(this.node.network, false)
      for (let step = 0; step < this.plan.steps && this.isFine; step++) await this.step()
      if (this.isFine) await this.finish()
      if (this.isFine) this.judge()
    } catch (error) {
      this.ledger.fault(`the node threw ${(error as Error).stack ?? String(error)}`)
    } finally {
      uninstall()
      this.host.kill()
    }
    const sent = [...this.ledger.sentByLabel.values()]
    return {
      seed: this.seed,
      faults: this.ledger.faults,
      trace: this.ledger.trace,
      traceHash: this.host.traceHash,
      stats: {
        published: sent.length,
        acknowledged: sent.filter(({ ackedAt }) => ackedAt !== undefined).length,
        arrived: this.ledger.epochs.reduce((sum, { arrivals }) => sum + arrivals.length, 0),
        crashes: this.ledger.crashes.length,
        restarts: this.starts - 1,
        simulatedMs: this.host.nowMs - startMs,
        tasks: this.host.tasksRun
      }
    }
  }

  private get isFine(): boolean {
    return this.ledger.faults.length === 0
  }

  // --- the node

  private async start(): Promise<void> {
    for (;;) {
      this.starts++
      const disk = new SlowDisk(this.disk, this.host, this.latencies, () => this.plan.latencyMaxMs)
      const started = await SimNode.start(this.host, disk, this.nodeOptions)
      if (started === "halted") {
        this.ledger.note("power loss while starting")
        await this.down("lost", false)
        continue
      }
      if ("failure" in started) {
        this.ledger.fault(`the node does not start: ${started.failure}`)
        return
      }
      this.node = started.node
      this.ledger.note("node started")
      for (const client of this.clients) client.nodeStarted()
      return
    }
  }

  /** The process is gone at once; what the disk had not synced may be too. */
  private async down(unsynced: "lost" | "kept", readsOn: boolean): Promise<void> {
    this.ledger.crashes.push(this.ledger.next())
    this.host.kill()
    for (const client of this.clients) client.nodeDied(readsOn)
    this.node = undefined
    this.disk.crash()
    this.disk = this.disk.restarted(unsynced)
    this.fencedSteps = 0
    this.host.skip(this.random.pick([0, 10, 2500]))
  }

  private async crash(unsynced: "lost" | "kept"): Promise<void> {
    this.ledger.note(unsynced === "lost" ? "power loss" : "kill -9")
    await this.down(unsynced, this.random.chance(0.5))
    // Now and then the power fails again before it is up.
    if (this.random.chance(0.2)) this.crashSoon()
    await this.start()
  }

  private crashSoon(): void {
    const kind = this.random.pick(["crash", "torn"] as const)
    this.disk.failAt(this.disk.calls + this.random.int(1, 30), { kind })
  }

  private async restart(): Promise<void> {
    if (this.node === undefined) return
    this.ledger.note("stop")
    const stopped = await this.node.stop()
    if (this.host.halted()) return
    if (!stopped) this.ledger.fault("the node does not stop")
    this.node = undefined
    for (const client of this.clients) client.nodeDied(true)
    this.host.kill()
    this.disk = this.disk.restarted("kept")
    this.fencedSteps = 0
    await this.start()
  }

  /** Lets the node work for a while: some tasks, or some time. */
  private async work(): Promise<void> {
    const { random, host } = this
    if (random.chance(0.5)) await host.run(random.int(1, 40))
    else await host.advance(random.pick([0.5, 2, 10, 50]))
    await this.afterWork()
  }

  private async afterWork(): Promise<void> {
    if (this.host.halted()) {
      this.ledger.note("power loss in the middle of a disk call")
      await this.down("lost", this.random.chance(0.5))
      await this.start()
      return
    }
    for (const client of this.clients) client.poll()
  }

  // --- what happens

  private async step(): Promise<void> {
    const { random } = this
    const client = random.pick(this.clients)
    await this.act(random.weighted(this.plan.actions), client)
    if (this.fencedSteps > 0 && --this.fencedSteps === 0) await this.crash("lost")
    if (this.isFine) await this.work()
  }

  private async act(action: Action, client: ModelClient): Promise<void> {
    const { random, ledger } = this
    const network = this.node?.network
    if (network === undefined) return
    switch (action) {
      case "publish":
        for (let count = random.int(1, 4); count > 0; count--) this.publish(client)
        return
      case "subscribe":
        return this.subscribe(client)
      case "unsubscribe":
        return this.unsubscribe(client)
      case "connect":
        for (const one of this.clients) if (one.state === "offline") one.connect(network, false)
        return
      case "cleanStart":
        if (client.durable) client.connect(network, true)
        return
      case "takeOver":
        return client.connect(network, false)
      case "reset":
        if (client.state !== "offline") client.reset()
        return
      case "disconnect":
        if (client.state === "online") client.disconnect()
        return
      case "lazy":
        client.lazy = !client.lazy
        if (!client.lazy) client.acknowledge(Number.POSITIVE_INFINITY)
        return
      case "acknowledge":
        return client.acknowledge(random.int(1, 5))
      case "pause":
        if (client.paused) client.resume()
        else if (client.state === "online") client.pause()
        return
      case "wait":
        await this.host.advance(random.pick([300, 1500, 4000]))
        return this.afterWork()
      case "kill":
        return this.crash("kept")
      case "powerLoss":
        return this.crash("lost")
      case "crashAtCall":
        return this.crashSoon()
      case "restart":
        return this.restart()
      case "diskFull":
        this.disk.full = !this.disk.full
        ledger.note(this.disk.full ? "disk full" : "disk has room")
        return
      case "ioError":
        ledger.note("a call of the disk will fail")
        this.disk.failAt(this.disk.calls + random.int(1, 8), { kind: random.pick(["error", "partial"] as const), code: "EIO" })
        this.fencedSteps = random.int(2, 15)
        return
    }
  }

  private publish(client: ModelClient): void {
    if (!client.canPublish) return
    const { random, plan } = this
    const qos = random.weighted(plan.qos)
    const padding = random.int(0, plan.paddingMax)
    const kind = random.next()
    if (kind < plan.retainChance) {
      // Now and then it goes by the retained message without being one.
      const retain = random.chance(0.8)
      const topic = retainedTopic(client.clientId, random.weighted(plan.qos))
      const owned = Number(topic.at(-1)) as QoS
      client.publish({ topic, qos: owned, retain, delaySeconds: 0, padding: retain && random.chance(0.15) ? undefined : padding })
    } else if (kind < plan.retainChance + plan.delayedChance) {
      client.publish({ topic: random.pick(plan.topics), qos, retain: false, delaySeconds: random.int(1, 3), padding })
    } else {
      const topic = random.pick(random.chance(plan.sharedChance) ? plan.sharedTopics : plan.topics)
      client.publish({ topic, qos, retain: false, delaySeconds: 0, padding })
    }
  }

  private groupsOf(client: ModelClient) {
    return this.plan.groups.filter(({ members }) => members.has(client.clientId))
  }

  private subscribe(client: ModelClient): void {
    if (client.state !== "online") return
    const { random, plan } = this
    const groups = this.groupsOf(client)
    if (groups.length > 0 && random.chance(0.3)) {
      const { filter, name } = random.pick(groups)
      client.subscribe(filter, name, random.pick([1, 2]))
    } else {
      client.subscribe(random.pick(plan.filters), undefined, random.weighted(plan.qos))
    }
  }

  private unsubscribe(client: ModelClient): void {
    const live = client.epoch?.subscriptions.filter(({ closedAt }) => closedAt === undefined) ?? []
    if (client.state !== "online" || live.length === 0) return
    const { filter, group } = this.random.pick(live)
    client.unsubscribe(filter, group)
  }

  // --- the end

  private async finish(): Promise<void> {
    this.ledger.note("--- faults stop")
    await this.heal()
    if (this.isFine) await this.drain(quietMs)
    if (this.isFine && this.random.chance(0.5)) {
      await this.crash(this.random.pick(["lost", "kept"] as const))
      await this.heal()
      if (this.isFine) await this.drain(quietMs)
    }
    for (const topic of [...this.plan.topics, ...this.plan.sharedTopics]) {
      for (const client of this.clients) {
        if (client.canPublish) client.publish({ topic, qos: 1, retain: false, delaySeconds: 0, padding: 0 })
      }
      if (this.isFine) await this.drain(0)
    }
    if (this.isFine) await this.drain(quietMs)
    if (this.isFine) await this.probeRetained()
  }

  private async heal(): Promise<void> {
    // A fault that was planned and has not come yet would come now: a disk that was restarted has none.
    if (this.fencedSteps > 0 || this.disk.faultPlanned) await this.down("kept", true)
    if (this.node === undefined) await this.start()
    this.disk.full = false
    for (const client of this.clients) {
      client.lazy = false
      if (client.paused) client.resume()
      client.acknowledge(Number.POSITIVE_INFINITY)
    }
  }

  /** Until nobody has anything to do and nothing has come for a while. */
  private async drain(quietMs: number): Promise<void> {
    const { host, clients } = this
    const untilMs = host.nowMs + drainMs
    let quietSinceMs = host.nowMs
    let arrivals = -1
    while (host.nowMs < untilMs && this.isFine) {
      const network = this.node?.network
      for (const client of clients) if (client.state === "offline" && network !== undefined) client.connect(network, false)
      await host.advance(100)
      await this.afterWork()
      const count = this.ledger.epochs.reduce((sum, epoch) => sum + epoch.arrivals.length, 0)
      if (count !== arrivals || clients.some((client) => !client.idle)) quietSinceMs = host.nowMs
      arrivals = count
      if (host.nowMs - quietSinceMs > quietMs) return
    }
    for (const client of clients.filter(({ idle }) => !idle))
      this.ledger.fault(`${client.clientId} does not come to rest: ${client.busy}`)
    if (this.isFine) this.ledger.fault("it does not come to rest")
  }

  private async probeRetained(): Promise<void> {
    const profile = {
      version: 5,
      expirySeconds: 0,
      receiveMaximum: 65_535,
      chunkBytes: 65_536,
      windowBytes: 65_536,
      will: undefined,
      resubscribes: false
    } as const
    const probe = new ModelClient({ ...profile, clientId: "probe" }, this.ledger)
    this.clients.push(probe)
    probe.connect((this.node as SimNode).network, true)
    await this.drain(quietMs)
    probe.subscribe("r/#", undefined, 1)
    await this.drain(quietMs)
    const found = (probe.epoch?.arrivals ?? []).map(({ topic, label }) => [topic, label] as const)
    for (const fault of retainedNow(this.ledger, new Map(found))) this.ledger.fault(fault)
  }

  private judge(): void {
    for (const [name, check] of Object.entries(checks)) {
      for (const fault of check(this.ledger)) this.ledger.fault(`${name}: ${fault}`)
    }
  }
}

export const simulate = (seed: number, options: SimulationOptions = {}): Promise<Outcome> => new Simulation(seed, options).run()

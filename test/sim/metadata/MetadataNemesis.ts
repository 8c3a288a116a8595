/**
 * Makes things go wrong, and right again, as the plan says. Disks are damaged one node at a time, so that a majority of good ones is
 * kept; what a damaged disk has forgotten besides, no software can know.
 */
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import { goodLink, type LinkQuality, type SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import type { SimulatedNodes } from "@effectmq/testing/SimulatedNodeTransport"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import type { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import type { Action, MetadataPlan } from "./MetadataPlan.js"
import type { Operator } from "./Operator.js"
import type { SimulatedNode } from "./SimulatedNode.js"

export interface NemesisParts {
  readonly world: VirtualWorld
  readonly network: SimulatedNetwork
  readonly transport: SimulatedNodes
  readonly random: SeededRandom
  readonly plan: MetadataPlan
  readonly nodes: ReadonlyArray<SimulatedNode>
  readonly clients: VirtualProcess
  readonly operator: Operator
}

export class MetadataNemesis {
  private quality: LinkQuality
  readonly counts = new Map<string, number>()

  constructor(private readonly parts: NemesisParts) {
    this.quality = parts.plan.links
  }

  /** Acts until its time is over. */
  async run(): Promise<void> {
    const { world, random, plan } = this.parts
    this.applyLinks()
    while (world.nowMs < plan.faultsMs) {
      await world.sleep(random.next() * plan.actionGapMsMax)
      this.act(random.weighted(plan.actions))
    }
  }

  /** Everything works from now on. */
  heal(): void {
    const { nodes, network, operator } = this.parts
    this.note("--- faults stop")
    network.heal()
    this.quality = goodLink
    this.applyLinks()
    for (const node of nodes) {
      const { process, machine } = node
      process.resume()
      // Nor is it killed when it has run a few tasks more.
      process.killAfter(Number.POSITIVE_INFINITY, () => undefined)
      process.setRate(1)
      // What is under way takes as long as it was to take.
      if (process.taskMs > 0 || machine.latencyMsMax > 1) node.disturbances++
      process.taskMs = 0
      machine.full = false
      machine.latencyMsMax = 1
      const isDoubtful = machine.isFaulty || machine.isDamaged || machine.disk.faultPlanned
      if (process.alive && (node.removed || isDoubtful)) node.kill("kept")
      if (!node.removed && !process.alive) void operator.start(node)
    }
  }

  applyLinks(): void {
    const { network, nodes, clients } = this.parts
    network.setQuality(this.quality)
    // A client's call is lost with its connection, and not doubled.
    const forClients = { ...this.quality, duplicateChance: 0, ordered: true }
    for (const { process } of nodes) {
      network.setLinkQuality(clients, process, forClients)
      network.setLinkQuality(process, clients, forClients)
    }
  }

  /** A planned fault stopped the machine of a node in the middle of a call of its disk. */
  stopped(node: SimulatedNode): void {
    if (!node.machine.disk.crashed) return
    this.note(`* node ${node.nodeId} loses its power in the middle of a call of its disk`)
    node.kill("lost")
    void this.parts.operator.restartLater(node)
  }

  private note(text: string): void {
    this.parts.world.note(text)
  }

  private act(action: Action): void {
    const { random, network, plan, transport, operator, clients } = this.parts
    const { present } = operator
    const node = random.pick(present)
    const other = random.pick(present)
    const { process, machine, nodeId } = node
    this.counts.set(action, (this.counts.get(action) ?? 0) + 1)
    const say = (text: string) => this.note(`* ${text}`)
    const processes = (nodes: ReadonlyArray<SimulatedNode>) => nodes.map((one) => one.process)
    switch (action) {
      case "kill":
        return this.down(node, "kept")
      case "losePower":
        return this.down(node, "lost")
      case "killSoon":
        return this.killSoon(node)
      case "stop":
        if (node.running === undefined) return
        say(`stop node ${nodeId}`)
        return void node.stop().then(() => operator.restartLater(node))
      case "pause":
        return this.pause(node)
      case "partition": {
        const side = present.filter(() => random.chance(0.5))
        const rest = present.filter((one) => !side.includes(one))
        say(`partition ${side.map((one) => one.nodeId)} from ${rest.map((one) => one.nodeId)}`)
        return network.partition(processes(side), processes(rest))
      }
      case "isolateLeader": {
        const leader = operator.leader ?? node
        say(`cut off node ${leader.nodeId}`)
        return network.partition([leader.process], processes(present.filter((one) => one !== leader)))
      }
      case "cutOneWay":
        say(`cut from node ${nodeId} to node ${other.nodeId}`)
        return network.cut(process, other.process)
      case "cutClients":
        say(`cut clients off node ${nodeId}`)
        return network.partition([clients], [process])
      case "heal":
        say("heal the network")
        return network.heal()
      case "links":
        this.quality = random.pick([goodLink, plan.links, plan.worstLinks])
        say(`links: ${JSON.stringify(this.quality)}`)
        return this.applyLinks()
      case "slowLink":
        say(`slow link from node ${nodeId} to node ${other.nodeId}`)
        return network.setLinkQuality(process, other.process, { ...plan.worstLinks, delayMsMax: 300, bytesPerMs: 20 })
      case "breakLinks":
        say(`break the links between node ${nodeId} and node ${other.nodeId}`)
        return transport.breakLinks(process, other.process)
      case "jumpClock": {
        const ms = random.pick([-3_600_000, -1_000, 500, 5_000, 86_400_000])
        say(`the clock of node ${nodeId} jumps by ${ms} ms`)
        return process.jumpClock(ms)
      }
      case "drift": {
        const rate = random.pick([0.8, 0.95, 1, 1.05, 1.2])
        say(`the clocks of node ${nodeId} run at ${rate}`)
        return process.setRate(rate)
      }
      case "slowProcess":
        process.taskMs = random.pick([0, 0.1, 1])
        node.disturbances++
        return say(`each task of node ${nodeId} takes ${process.taskMs} ms`)
      case "transfer":
        return void operator.transfer(node)
      case "snapshot":
        return void operator.snapshot()
      case "export":
        return void operator.export()
      case "addNode":
      case "removeNode":
      case "replaceNode":
        return this.changeCluster(action, node)
      default:
        return node.isObserver ? undefined : this.harmDisk(action, node, machine)
    }
  }

  private harmDisk(action: Action, node: SimulatedNode, { disk }: SimulatedNode["machine"]): void {
    const { random, operator } = this.parts
    const { machine, nodeId } = node
    const say = (text: string) => this.note(`* ${text}`)
    switch (action) {
      case "slowDisk":
        machine.latencyMsMax = random.pick([0, 5, 50, 300])
        node.disturbances++
        return say(`calls of the disk of node ${nodeId} take up to ${machine.latencyMsMax} ms`)
      case "diskFull":
        machine.full = !machine.full
        return say(`the disk of node ${nodeId} ${machine.full ? "is full" : "has room"}`)
      case "diskError": {
        const fault = random.pick([
          { kind: "error", code: "EIO" },
          { kind: "error", code: "ENOSPC" },
          { kind: "partial", code: "EIO" },
          { kind: "short" },
          { kind: "forgotten" }
        ] as const)
        machine.failSoon(fault, 30)
        return say(`a call of the disk of node ${nodeId} will go wrong: ${JSON.stringify(fault)}, call ${disk.calls}`)
      }
      case "losePowerInCall":
        if (machine.isDamaged) return
        machine.failSoon({ kind: random.pick(["crash", "torn"]) }, 40)
        return
      case "flipInCall":
      case "flipAtRest": {
        if (!this.mayDamage(node)) return
        if (action === "flipInCall") {
          machine.failSoon({ kind: "flip" }, 40)
          return say(`a bit of a call of the disk of node ${nodeId} will be turned`)
        }
        const where = machine.flip()
        if (where === undefined) return
        say(`node ${nodeId}: ${where} is turned`)
        this.kill(node, "kept")
        return void operator.restartLater(node)
      }
    }
  }

  /** One at a time, of three at least, while nobody comes or goes. */
  private mayDamage(node: SimulatedNode): boolean {
    const { operator } = this.parts
    const { membership } = operator
    if (membership === undefined || operator.isBusy) return false
    const others = operator.present.filter(({ machine }) => machine.isDamaged)
    return (
      membership.voters.length >= 3 && others.length === 0 && membership.outgoingVoters.length === 0 && !node.machine.isDamaged
    )
  }

  private changeCluster(action: "addNode" | "removeNode" | "replaceNode", node: SimulatedNode): void {
    const { operator, plan, random } = this.parts
    const members = operator.present.filter(({ isObserver }) => !isObserver)
    if (node.isObserver) return
    // While one is damaged nobody else is taken out.
    if (members.some(({ machine }) => machine.isDamaged) && !node.machine.isDamaged) return
    void operator.change(async () => {
      if (action === "replaceNode") return operator.replace(node)
      if (action === "addNode" && members.length < plan.nodesMax) await operator.addNode()
      const voters = operator.membership?.voters.length ?? 0
      if (action === "removeNode" && voters > (random.chance(0.2) ? 1 : 2)) await operator.removeNode(node)
    })
  }

  private kill(node: SimulatedNode, unsynced: "kept" | "lost"): void {
    // A damaged disk that loses what was not synced besides: two faults at once, of which the second hides the first.
    const how = node.machine.isDamaged ? "kept" : unsynced
    this.note(`* node ${node.nodeId} ${how === "kept" ? "is killed" : "loses its power"}`)
    node.kill(how)
  }

  private down(node: SimulatedNode, unsynced: "kept" | "lost"): void {
    if (!node.process.alive) return
    this.kill(node, unsynced)
    void this.parts.operator.restartLater(node)
  }

  /** In the middle of whatever it does next. */
  private killSoon(node: SimulatedNode): void {
    const { random, operator } = this.parts
    if (!node.process.alive) return
    const tasks = random.pick([1, 3, 10, 100, 1000])
    const lost = random.chance(0.5) && !node.machine.isDamaged
    node.process.killAfter(tasks, () => {
      this.note(`* node ${node.nodeId} is killed, ${tasks} tasks later`)
      node.gone(lost && !node.machine.isDamaged ? "lost" : "kept", lost ? "silence" : "reset")
      void operator.restartLater(node)
    })
  }

  private pause(node: SimulatedNode): void {
    const { world, random, plan } = this.parts
    const ms = random.next() * plan.pauseMsMax
    this.note(`* pause node ${node.nodeId} for ${ms.toFixed(0)} ms`)
    node.disturbances++
    node.process.pause()
    void world.sleep(ms).then(() => {
      node.disturbances++
      node.process.resume()
    })
  }
}

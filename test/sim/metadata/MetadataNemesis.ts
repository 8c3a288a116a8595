/**
 * What goes wrong with a cluster of nodes besides its links and clocks: nodes, their disks, who leads and who belongs to it. Disks are
 * damaged one node at a time, so that a majority of good ones is kept; what a damaged disk has forgotten besides, no software can know.
 */
import type { SimulatedNodes } from "@effectmq/testing/SimulatedNodeTransport"
import { Nemesis, type NemesisParts } from "../cluster/Nemesis.js"
import type { Action, DiskAction, MetadataPlan } from "./MetadataPlan.js"
import type { Operator } from "./Operator.js"
import type { SimulatedNode } from "./SimulatedNode.js"

export interface MetadataNemesisParts extends NemesisParts<SimulatedNode, Action> {
  readonly plan: MetadataPlan
  readonly transport: SimulatedNodes
  readonly operator: Operator
}

export class MetadataNemesis extends Nemesis<SimulatedNode, Action, MetadataNemesisParts> {
  protected readonly clockJumpsMs = [-3_600_000, -1_000, 500, 5_000, 86_400_000]
  protected readonly slowLink = { delayMsMax: 300, bytesPerMs: 20 }

  protected get present(): ReadonlyArray<SimulatedNode> {
    return this.parts.operator.present
  }

  get leader(): SimulatedNode | undefined {
    return this.parts.operator.leader
  }

  /** Everything works from now on. */
  heal(): void {
    const { nodes, operator } = this.parts
    this.note("--- faults stop")
    this.mendLinks()
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

  /** A planned fault stopped the machine of a node in the middle of a call of its disk. */
  stopped(node: SimulatedNode): void {
    if (!node.machine.disk.crashed) return
    this.note(`* node ${node.nodeId} loses its power in the middle of a call of its disk`)
    // Of a store with a bit turned nobody can tell what it lost besides, where the witness may be older.
    node.kill(node.machine.isDamaged ? "kept" : "lost")
    void this.parts.operator.restartLater(node)
  }

  protected act(action: Action, node: SimulatedNode, other: SimulatedNode): void {
    const { random, transport, operator } = this.parts
    const { process, nodeId } = node
    const say = (text: string) => this.note(`* ${text}`)
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
      case "breakLinks":
        say(`break the links between node ${nodeId} and node ${other.nodeId}`)
        return transport.breakLinks(process, other.process)
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
      case "slowDisk":
      case "diskFull":
      case "diskError":
      case "losePowerInCall":
      case "flipInCall":
      case "flipAtRest":
        return node.isObserver ? undefined : this.harmDisk(action, node)
      default:
        return this.actOnLinksAndClocks(action, node, other)
    }
  }

  private harmDisk(action: DiskAction, node: SimulatedNode): void {
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
        return say(`a call of the disk of node ${nodeId} will go wrong: ${JSON.stringify(fault)}, call ${machine.disk.calls}`)
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

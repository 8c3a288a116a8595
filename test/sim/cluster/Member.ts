/**
 * One node of the simulated group: a process, what its disk holds, and what it runs at present.
 */
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { emptyContents, type MemoryContents } from "@effectmq/raft/MemoryRaftStore"
import { RaftNode, make, type RaftNodeService } from "@effectmq/raft/RaftNode"
import type { RaftNodeOptions } from "@effectmq/raft/RaftNodeOptions"
import { RaftStore } from "@effectmq/raft/RaftStore"
import { SeededRandom } from "@effectmq/testing/SeededRandom"
import * as SimulatedRaftStore from "@effectmq/testing/SimulatedRaftStore"
import type { SimulatedRaftTransport } from "@effectmq/testing/SimulatedRaftTransport"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import type { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { GroupWatch } from "./GroupWatch.js"
import type { ImageWatch } from "./ImageWatch.js"
import { RegisterMachine } from "./RegisterMachine.js"
import { sayFailure } from "./SayFailure.js"
import { watched } from "./WatchedStore.js"

export interface MemberParts {
  readonly world: VirtualWorld
  readonly transport: SimulatedRaftTransport
  readonly group: GroupWatch
  readonly images: ImageWatch
  readonly storeFaults: SimulatedRaftStore.StoreFaults
}

class Machine extends Context.Tag("Machine")<Machine, RegisterMachine>() {}

export class Member {
  readonly process: VirtualProcess
  readonly storeFaults: SimulatedRaftStore.StoreFaults
  /** While it is up. */
  machine: RegisterMachine | undefined
  raft: RaftNodeService | undefined
  /** It was taken out of the group and comes back no more. */
  removed = false
  /** Starts so far. */
  starts = 0
  private readonly contents: MemoryContents = emptyContents()
  private readonly random: SeededRandom

  constructor(
    private readonly parts: MemberParts,
    private readonly options: RaftNodeOptions
  ) {
    const { world, storeFaults } = parts
    this.process = world.process(`node ${options.nodeId}`)
    this.process.kill()
    this.storeFaults = { ...storeFaults }
    this.random = new SeededRandom(world.seed, 500 + options.nodeId)
  }

  get nodeId(): number {
    return this.options.nodeId
  }

  get isUp(): boolean {
    return this.machine !== undefined
  }

  get isStarting(): boolean {
    return this.process.alive && this.machine === undefined
  }

  /** Starts it from what its disk holds. Answers why that failed; undefined where it did not, or was killed meanwhile. */
  async start(): Promise<string | undefined> {
    this.starts++
    const started = await this.process.start(this.layer)
    if (Exit.isFailure(started)) {
      this.process.kill()
      const cause = sayFailure(started.cause)
      return cause.includes("ProcessKilled") ? undefined : cause
    }
    this.machine = Context.get(started.value, Machine)
    this.raft = Context.get(started.value, RaftNode)
    return undefined
  }

  kill(): void {
    this.process.kill()
    this.gone()
  }

  async stop(): Promise<void> {
    this.gone()
    await this.process.stop()
  }

  /** Nothing can be asked of it any more. */
  gone(): void {
    this.machine = undefined
    this.raft = undefined
  }

  private get layer(): Layer.Layer<Machine | RaftNode, unknown> {
    const { parts, options, process } = this
    const { group, images, transport } = parts
    const { nodeId } = options
    const store = Layer.sync(RaftStore, () =>
      watched(SimulatedRaftStore.makeFaulty(this.contents, this.storeFaults, this.random), nodeId, group)
    )
    const node = Layer.scopedContext(
      Effect.gen(function* () {
        const machine: RegisterMachine = new RegisterMachine({
          applied: (commands) => {
            group.applied(nodeId, commands)
            images.compare(nodeId, machine)
          },
          effect: (commandId, index) => images.effect(nodeId, commandId, index),
          restored: (index) => {
            group.restored(nodeId, index)
            images.compare(nodeId, machine)
          },
          leadershipBegan: (term) => group.leads(nodeId, term)
        })
        const raft = yield* make(options, machine)
        machine.attach({ ...raft, readBarrier: group.reads.watched(nodeId, raft.readBarrier) })
        raft.onStatus(({ fenced }) => {
          if (fenced !== undefined && !SimulatedRaftStore.isFailure(fenced)) group.fenced(nodeId, fenced)
        })
        return Context.make(Machine, machine).pipe(Context.add(RaftNode, raft))
      })
    )
    return node.pipe(Layer.provide(Layer.mergeAll(store, transport.layer(process, nodeId), PrometheusMeters.layerMemory)))
  }
}

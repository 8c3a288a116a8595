/**
 * Clients that change and read objects of the metadata through any node, over links as bad as those between nodes. They try again, with
 * the same command id and through another node, while they do not know the outcome, and give up now and then.
 */
import type { MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { Operation } from "@effectmq/testing/Linearizability"
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import type { SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import type { Violations } from "../cluster/Violations.js"
import type { CommandWatch } from "./CommandWatch.js"
import type { MetadataPlan } from "./MetadataPlan.js"
import type { ObjectInput, ObjectOutput } from "./ObjectModel.js"
import { commandOf, kinds, textIn, wishes } from "./Objects.js"
import type { Running, SimulatedNode } from "./SimulatedNode.js"

const bytesOfCall = 300
/** What a node takes beyond the time it promises to answer in: its timers, and a turn or two. */
const slackMs = 1_500

/** Those of `MetadataUnavailable` that say that the command had no effect. */
const withoutEffect: ReadonlySet<MetadataUnavailable["reason"]> = new Set(["full", "overloaded", "closed", "no-leader", "busy"])

/** Of the object itself, which is not there or is. */
const refusals: ReadonlySet<MetadataError["_tag"]> = new Set([
  "TopicExists",
  "UnknownTopic",
  "UnknownUser",
  "UnknownAcl",
  "UnknownConfig"
])

type Answer<A> =
  | { readonly _tag: "Answer"; readonly value: A }
  | { readonly _tag: "Refused" }
  | { readonly _tag: "NoEffect" }
  | { readonly _tag: "Unknown" }

export interface ClientParts {
  readonly process: VirtualProcess
  readonly network: SimulatedNetwork
  readonly random: SeededRandom
  readonly plan: MetadataPlan
  readonly commands: CommandWatch
  readonly violations: Violations
  readonly nodes: () => ReadonlyArray<SimulatedNode>
}

type Change = Exclude<ObjectInput, { readonly _tag: "Read" }>

export class MetadataClients {
  readonly history: Array<Operation<ObjectInput, ObjectOutput>> = []
  staleReads = 0
  /** Set when they are to end what they do and begin nothing new. */
  stopping = false
  private moment = 0
  private made = 0
  private readonly waiting = new Set<() => void>()

  constructor(private readonly parts: ClientParts) {}

  /** One client, until it is told to stop. */
  async run(client: number): Promise<void> {
    const { plan, random, process } = this.parts
    while (!this.stopping) {
      await process.sleep(random.next() * plan.thinkMsMax)
      await this.operate(client)
    }
  }

  private async operate(client: number): Promise<void> {
    const { plan, random, nodes } = this.parts
    const kind = random.pick(kinds)
    const name = `${kind}-${random.int(1, plan.names)}`
    if (random.chance(plan.readShare)) {
      if (random.chance(plan.staleShare)) return this.readStale(random.pick(nodes()))
      await this.read(client, name, random.pick(nodes()))
      return
    }
    const wish = random.pick(wishes[kind])
    const value = `${client}.${++this.made}`
    await this.change(client, wish === "Remove" ? { _tag: wish, name } : { _tag: wish, name, value })
  }

  /** What a node shows without asking anybody: `ViewWatch` judges it. */
  private async readStale(node: SimulatedNode): Promise<void> {
    const answer = await this.call(node, this.parts.plan.syncMsMax, ({ metadata }) => Effect.sync(() => metadata.image().version))
    if (answer._tag === "Answer") this.staleReads++
  }

  /** undefined where it was not answered. */
  async read(client: number, name: string, node: SimulatedNode): Promise<ObjectOutput | undefined> {
    const calledAt = this.moment++
    const ask = ({ metadata }: Running) => Effect.map(metadata.sync, (image) => textIn(image, name))
    const answer = await this.call(node, this.parts.plan.syncMsMax, ask)
    if (answer._tag !== "Answer") return undefined
    const output: ObjectOutput = { _tag: "Value", value: answer.value }
    this.history.push({ client, input: { _tag: "Read", name }, output, calledAt, returnedAt: this.moment++ })
    return output
  }

  /** True where it was done. */
  async change(client: number, input: Change, through?: SimulatedNode, triesMax?: number): Promise<boolean> {
    const { plan, random, nodes, process, commands } = this.parts
    const stamp = { commandId: `${client}-${++this.made}`, atMs: Math.floor(process.wallMs()) }
    const command = commandOf(input, stamp)
    const calledAt = this.moment++
    const record = (output: ObjectOutput | undefined) => {
      const returnedAt = output === undefined ? Number.POSITIVE_INFINITY : this.moment++
      this.history.push({ client, input, output, calledAt, returnedAt })
    }
    let mayHaveHappened = false
    for (let tries = triesMax ?? random.pick([1, 3, 20]); tries > 0; tries--) {
      const node = through ?? random.pick(nodes())
      const ask = ({ controller, metadata }: Running) =>
        Effect.tap(controller.submit(command), () =>
          Effect.sync(() => commands.answered(stamp.commandId, node.nodeId, metadata.image()))
        )
      const answer = await this.call(node, plan.submitMsMax, ask)
      if (answer._tag === "Answer") {
        record({ _tag: "Done" })
        return true
      }
      // What came before may still be under way, and take effect yet.
      if (answer._tag === "Refused" && !mayHaveHappened) {
        record({ _tag: "Refused" })
        commands.hadNoEffect(stamp.commandId)
        return false
      }
      if (answer._tag === "Refused") break
      if (answer._tag === "Unknown") mayHaveHappened = true
      await process.sleep(random.next() * 100)
    }
    if (mayHaveHappened) record(undefined)
    else commands.hadNoEffect(stamp.commandId)
    return false
  }

  /** Nobody waits for longer than a node says. */
  checkWaiting(): void {
    for (const check of this.waiting) check()
  }

  /** Over the network and back; unknown after a while. */
  private call<A, E extends MetadataError>(
    node: SimulatedNode,
    answersWithinMs: number,
    ask: (running: Running) => Effect.Effect<A, E>
  ): Promise<Answer<A>> {
    const { network, plan, process } = this.parts
    return new Promise((resolve) => {
      setTimeout(() => resolve({ _tag: "Unknown" }), plan.callTimeoutMs)
      network.send(process, node.process, bytesOfCall, () => {
        const back = (answer: Answer<A>) => network.send(node.process, process, bytesOfCall, () => resolve(answer))
        const { running } = node
        if (running === undefined) return back({ _tag: "NoEffect" })
        const answered = this.timed(node, answersWithinMs)
        Effect.runFork(ask(running)).addObserver((exit) => {
          answered()
          back(this.answerOf(exit))
        })
      })
    })
  }

  private answerOf<A, E extends MetadataError>(exit: Exit.Exit<A, E>): Answer<A> {
    if (Exit.isSuccess(exit)) return { _tag: "Answer", value: exit.value }
    const failure = Cause.failureOption(exit.cause)
    if (failure._tag === "None") {
      this.parts.violations.add(`a call died: ${Cause.pretty(exit.cause)}`)
      return { _tag: "Unknown" }
    }
    if (refusals.has(failure.value._tag)) return { _tag: "Refused" }
    // Before the cluster is made there is no tenant.
    if (failure.value._tag === "UnknownTenant") return { _tag: "NoEffect" }
    if (failure.value._tag !== "MetadataUnavailable") {
      this.parts.violations.add(`a call was refused: ${failure.value.message}`)
      return { _tag: "Unknown" }
    }
    return { _tag: withoutEffect.has(failure.value.reason) ? "NoEffect" : "Unknown" }
  }

  /** Watches that it is answered in time by the node's own clock; gives what to call when it is. */
  private timed(node: SimulatedNode, answersWithinMs: number): () => void {
    const { violations } = this.parts
    const { process, disturbances } = node
    const { incarnation } = process
    const begunMs = process.uptimeMs()
    const check = () => {
      // While its disk hangs, a node answers no read.
      const isOut =
        node.machine.latencyMsMax > 50 ||
        !process.alive ||
        process.incarnation !== incarnation ||
        node.disturbances !== disturbances
      const tookMs = process.uptimeMs() - begunMs
      if (isOut) this.waiting.delete(check)
      else if (tookMs > answersWithinMs + slackMs) {
        this.waiting.delete(check)
        violations.add(`node ${node.nodeId} has not answered after ${tookMs.toFixed(0)} ms, and promises ${answersWithinMs}`)
      }
    }
    this.waiting.add(check)
    return () => {
      check()
      this.waiting.delete(check)
    }
  }
}

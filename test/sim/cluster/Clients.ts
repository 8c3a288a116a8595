/**
 * Clients that write and read registers through any node, over links as bad as those between nodes. They try again, with the same
 * id, while they do not know the outcome, and give up now and then.
 */
import type { Operation } from "@effectmq/testing/Linearizability"
import type { RegisterInput, RegisterOutput } from "@effectmq/testing/RegisterModel"
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import type { SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ClusterPlan } from "./ClusterPlan.js"
import type { ImageWatch } from "./ImageWatch.js"
import type { Member } from "./Member.js"
import { idOf, type RegisterMachine } from "./RegisterMachine.js"

const bytesOfCall = 100

type Answer<A> = { readonly _tag: "Answer"; readonly value: A } | { readonly _tag: "Failed" } | { readonly _tag: "Silence" }

export interface ClientParts {
  readonly process: VirtualProcess
  readonly network: SimulatedNetwork
  readonly random: SeededRandom
  readonly plan: ClusterPlan
  readonly images: ImageWatch
  readonly members: () => ReadonlyArray<Member>
}

export class Clients {
  readonly history: Array<Operation<RegisterInput, RegisterOutput>> = []
  /** Set when they are to end what they do and begin nothing new. */
  stopping = false
  private moment = 0
  private commands = 0
  private leaderGuess: Member | undefined

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
    const { plan, random } = this.parts
    const name = `k${random.int(1, plan.keys)}`
    if (random.chance(plan.readShare)) {
      await this.read(client, name, random.pick(this.parts.members()))
      return
    }
    const padding = "x".repeat(random.int(0, plan.paddingMax))
    const value = `${client}.${++this.commands}${padding}`
    if (random.chance(plan.compareShare)) {
      const before = await this.read(client, name, random.pick(this.parts.members()))
      if (before?._tag !== "Value") return
      await this.write(client, { _tag: "CompareAndSet", name, expected: before.value, value })
    } else {
      await this.write(client, { _tag: "Write", name, value })
    }
  }

  async read(client: number, name: string, through: Member): Promise<RegisterOutput | undefined> {
    const calledAt = this.moment++
    const answer = await this.call(through, (machine) => machine.read(name))
    if (answer._tag !== "Answer") return undefined
    this.history.push({ client, input: { _tag: "Read", name }, output: answer.value, calledAt, returnedAt: this.moment++ })
    return answer.value
  }

  /** True where it was answered. */
  async write(client: number, input: RegisterInput, through?: Member): Promise<boolean> {
    const { plan, random, members, process, images } = this.parts
    const command = { client, number: ++this.commands, input }
    const calledAt = this.moment++
    let mayHaveHappened = false
    for (let tries = random.pick([1, 3, 20]); tries > 0; tries--) {
      const member = through ?? this.leaderGuess ?? random.pick(members())
      const answer = await this.call(member, (machine) => machine.write(command))
      if (answer._tag === "Answer") {
        this.leaderGuess = member
        images.acknowledge(idOf(command))
        this.history.push({ client, input, output: answer.value, calledAt, returnedAt: this.moment++ })
        return true
      }
      this.leaderGuess = undefined
      if (answer._tag === "Silence") mayHaveHappened = true
      await process.sleep(random.next() * Math.min(100, plan.callTimeoutMs))
    }
    if (mayHaveHappened) this.history.push({ client, input, output: undefined, calledAt, returnedAt: Number.POSITIVE_INFINITY })
    return false
  }

  /** Over the network and back; silence after a while, and where the node says that it does not know. */
  private call<A, E extends { readonly reason: string }>(
    member: Member,
    ask: (machine: RegisterMachine) => Effect.Effect<A, E>
  ): Promise<Answer<A>> {
    const { network, plan, process } = this.parts
    return new Promise((resolve) => {
      setTimeout(() => resolve({ _tag: "Silence" }), plan.callTimeoutMs)
      network.send(process, member.process, bytesOfCall, () => {
        const { machine } = member
        if (machine === undefined) return
        Effect.runFork(Effect.either(ask(machine))).addObserver((exit) => {
          const answer: Answer<A> =
            exit._tag === "Failure" || (Either.isLeft(exit.value) && exit.value.left.reason === "unknown")
              ? { _tag: "Silence" }
              : Either.isLeft(exit.value)
                ? { _tag: "Failed" }
                : { _tag: "Answer", value: exit.value.right }
          network.send(member.process, process, bytesOfCall, () => resolve(answer))
        })
      })
    })
  }
}

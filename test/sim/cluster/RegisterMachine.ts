/**
 * The smallest thing a Raft group can be for: registers by name. Commands carry who sent them and a number, and are applied once,
 * whatever is retried: of each client the newest is remembered, and what is older than that is late and ignored.
 */
import type { RaftNodeService, RaftUnavailable } from "@effectmq/raft/RaftNode"
import type { StateMachine } from "@effectmq/raft/StateMachine"
import type { CommandEntry } from "@effectmq/schemas/raft/Entry"
import type { RegisterInput, RegisterOutput, RegisterValue } from "@effectmq/testing/RegisterModel"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"

export interface RegisterCommand {
  readonly client: number
  /** Rises with every command of a client, which has one under way at a time. */
  readonly number: number
  readonly input: RegisterInput
}

export const idOf = ({ client, number }: Pick<RegisterCommand, "client" | "number">): string => `${client}-${number}`

interface Answered {
  readonly number: number
  readonly output: RegisterOutput
}

/** `refused`: it did not happen. `unknown`: nobody knows. Either may be tried again with the same id. */
export class RegisterUnavailable extends Data.TaggedError("RegisterUnavailable")<{
  readonly reason: "refused" | "unknown"
  readonly message: string
}> {}

interface Registers {
  /** Of the last command. */
  readonly appliedIndex: number
  /** Of the ids of all commands that took effect, in order. */
  readonly chain: number
  readonly values: ReadonlyArray<readonly [string, RegisterValue]>
  readonly answered: ReadonlyArray<readonly [number, Answered]>
}

/** What a machine tells of itself to whoever watches from outside. */
export interface MachineWatch {
  applied(commands: ReadonlyArray<CommandEntry>): void
  /** A command took effect, as opposed to being recognized as a retry. */
  effect(commandId: string, index: number): void
  restored(index: number, machine: RegisterMachine): void
  leadershipBegan(term: number): void
}

interface Pending {
  readonly term: number
  readonly answer: (result: Effect.Effect<RegisterOutput, RegisterUnavailable>) => void
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const chunksOf = (bytes: Uint8Array, bytesMax: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.max(1, Math.ceil(bytes.length / bytesMax)) }, (_, index) =>
    bytes.slice(index * bytesMax, (index + 1) * bytesMax)
  )

export class RegisterMachine implements StateMachine {
  appliedIndex = 0
  private readonly values = new Map<string, RegisterValue>()
  private readonly answeredByClient = new Map<number, Answered>()
  private chain = 0
  private readonly pendingByIndex = new Map<number, Pending>()
  private ledTerm = 0
  private raft: RaftNodeService | undefined

  constructor(private readonly watch: MachineWatch) {}

  /** To be called once, before anything is asked of it. */
  attach(raft: RaftNodeService): void {
    this.raft = raft
  }

  /** The whole state as a text: equal states give equal texts. */
  get content(): string {
    const registers: Registers = {
      appliedIndex: this.appliedIndex,
      chain: this.chain,
      values: [...this.values].sort(),
      answered: [...this.answeredByClient].sort(([a], [b]) => a - b)
    }
    return JSON.stringify(registers)
  }

  // --- for clients

  write(command: RegisterCommand): Effect.Effect<RegisterOutput, RegisterUnavailable> {
    return Effect.async((resume) => {
      const last = this.answeredByClient.get(command.client)
      // It is applied here, so it is committed.
      if (last?.number === command.number) return resume(Effect.succeed(last.output))
      const proposed = this.raft?.propose(this.ledTerm, encoder.encode(JSON.stringify(command)))
      if (proposed === undefined || Either.isLeft(proposed)) {
        const message = proposed?.left.message ?? "not started"
        return resume(new RegisterUnavailable({ reason: "refused", message }))
      }
      this.pendingByIndex.set(proposed.right, { term: this.ledTerm, answer: resume })
    })
  }

  read(name: string): Effect.Effect<RegisterOutput, RaftUnavailable> {
    if (this.raft === undefined) return Effect.dieMessage("not started")
    return Effect.map(this.raft.readBarrier, () => ({ _tag: "Value", value: this.values.get(name) }))
  }

  // --- for Raft

  apply(commands: ReadonlyArray<CommandEntry>): void {
    for (const { index, term, data } of commands) {
      const command = JSON.parse(decoder.decode(data)) as RegisterCommand
      const { client, number, input } = command
      const last = this.answeredByClient.get(client)
      let output = last?.number === number ? last.output : undefined
      if (last === undefined || last.number < number) {
        output = this.change(input)
        this.answeredByClient.set(client, { number, output })
        for (const digit of idOf(command)) this.chain = Math.imul(this.chain ^ digit.charCodeAt(0), 0x01000193)
        this.watch.effect(idOf(command), index)
      }
      this.appliedIndex = index
      this.answer(index, term, output)
    }
    this.watch.applied(commands)
  }

  snapshot(bytesMax: number): Effect.Effect<ReadonlyArray<Uint8Array>> {
    return Effect.sync(() => chunksOf(encoder.encode(this.content), bytesMax))
  }

  restore(index: number, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void> {
    return Effect.sync(() => {
      const text = chunks.map((chunk) => decoder.decode(chunk)).join("")
      const registers = JSON.parse(text) as Registers
      this.appliedIndex = registers.appliedIndex
      this.chain = registers.chain
      this.values.clear()
      for (const [name, value] of registers.values) this.values.set(name, value)
      this.answeredByClient.clear()
      for (const [client, answered] of registers.answered) this.answeredByClient.set(client, answered)
      this.watch.restored(index, this)
    })
  }

  leadershipBegan(term: number): void {
    this.ledTerm = term
    this.watch.leadershipBegan(term)
  }

  leadershipEnded(): void {
    this.ledTerm = 0
    const ended = [...this.pendingByIndex.values()]
    this.pendingByIndex.clear()
    for (const { answer } of ended) answer(new RegisterUnavailable({ reason: "unknown", message: "leadership ended" }))
  }

  private answer(index: number, term: number, output: RegisterOutput | undefined): void {
    const pending = this.pendingByIndex.get(index)
    if (pending === undefined) return
    this.pendingByIndex.delete(index)
    if (pending.term === term && output !== undefined) pending.answer(Effect.succeed(output))
    else pending.answer(new RegisterUnavailable({ reason: "unknown", message: "another command is in its place" }))
  }

  private change(input: RegisterInput): RegisterOutput {
    switch (input._tag) {
      case "Read":
        return { _tag: "Value", value: this.values.get(input.name) }
      case "Write":
        return this.put(input.name, input.value)
      case "CompareAndSet":
        return this.values.get(input.name) === input.expected ? this.put(input.name, input.value) : { _tag: "Refused" }
    }
  }

  private put(name: string, value: RegisterValue): RegisterOutput {
    if (value === undefined) this.values.delete(name)
    else this.values.set(name, value)
    return { _tag: "Written" }
  }
}

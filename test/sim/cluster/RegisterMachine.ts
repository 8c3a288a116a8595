/**
 * The smallest thing a Raft group can be for: registers by name. Commands carry an id and are applied once, whatever is retried.
 */
import type { RaftNodeService, RaftUnavailable } from "@effectmq/raft/RaftNode"
import type { StateMachine } from "@effectmq/raft/StateMachine"
import type { CommandEntry } from "@effectmq/schemas/raft/Entry"
import type { RegisterInput, RegisterOutput, RegisterValue } from "@effectmq/testing/RegisterModel"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"

export interface RegisterCommand {
  readonly id: string
  readonly input: RegisterInput
}

/** `refused`: it did not happen. `unknown`: nobody knows. Either may be tried again with the same id. */
export class RegisterUnavailable extends Data.TaggedError("RegisterUnavailable")<{
  readonly reason: "refused" | "unknown"
  readonly message: string
}> {}

interface Registers {
  /** Of the last command. */
  readonly appliedIndex: number
  readonly values: Record<string, RegisterValue>
  readonly outputs: Record<string, RegisterOutput>
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
  readonly id: string
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
  readonly outputs = new Map<string, RegisterOutput>()
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
      values: Object.fromEntries([...this.values].sort()),
      outputs: Object.fromEntries([...this.outputs].sort())
    }
    return JSON.stringify(registers)
  }

  // --- for clients

  write(command: RegisterCommand): Effect.Effect<RegisterOutput, RegisterUnavailable> {
    return Effect.async((resume) => {
      const done = this.outputs.get(command.id)
      // It is applied here, so it is committed.
      if (done !== undefined) return resume(Effect.succeed(done))
      const proposed = this.raft?.propose(this.ledTerm, encoder.encode(JSON.stringify(command)))
      if (proposed === undefined || Either.isLeft(proposed)) {
        const message = proposed?.left.message ?? "not started"
        return resume(new RegisterUnavailable({ reason: "refused", message }))
      }
      this.pendingByIndex.set(proposed.right, { term: this.ledTerm, id: command.id, answer: resume })
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
      let output = this.outputs.get(command.id)
      if (output === undefined) {
        output = this.change(command.input)
        this.outputs.set(command.id, output)
        this.watch.effect(command.id, index)
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
      this.values.clear()
      for (const [name, value] of Object.entries(registers.values)) this.values.set(name, value)
      this.outputs.clear()
      for (const [id, output] of Object.entries(registers.outputs)) this.outputs.set(id, output)
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

  private answer(index: number, term: number, output: RegisterOutput): void {
    const pending = this.pendingByIndex.get(index)
    if (pending === undefined) return
    this.pendingByIndex.delete(index)
    if (pending.term === term) pending.answer(Effect.succeed(output))
    else pending.answer(new RegisterUnavailable({ reason: "unknown", message: "another leader's entry is in its place" }))
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

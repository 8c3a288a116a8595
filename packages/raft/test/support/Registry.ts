/**
 * A state machine for tests: the texts it was given, in order, and what it was told.
 */
import type { CommandEntry, Entry } from "@effectmq/schemas/raft/Entry"
import * as Effect from "effect/Effect"
import type { StateMachine } from "../../src/StateMachine.js"

export class Registry implements StateMachine {
  texts: ReadonlyArray<string> = []
  /** What came, in order: `apply 3`, `began 2`, `ended 2`, `restore 7`. */
  readonly told: Array<string> = []
  onApply: (commands: ReadonlyArray<CommandEntry>) => void = () => {}
  onBegan: () => void = () => {}
  uncommitted: ReadonlyArray<Entry> = []

  apply(commands: ReadonlyArray<CommandEntry>): void {
    this.texts = [...this.texts, ...commands.map((command) => Buffer.from(command.data).toString())]
    this.told.push(`apply ${commands.map((command) => command.index).join(",")}`)
    this.onApply(commands)
  }

  snapshot(bytesMax: number): Effect.Effect<ReadonlyArray<Uint8Array>> {
    const whole = Buffer.from(JSON.stringify(this.texts))
    return Effect.sync(() => {
      const chunks: Array<Uint8Array> = []
      for (let at = 0; at === 0 || at < whole.length; at += bytesMax) chunks.push(whole.subarray(at, at + bytesMax))
      return chunks
    })
  }

  restore(index: number, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, { readonly message: string }> {
    return Effect.try({
      try: () => {
        this.texts = JSON.parse(Buffer.concat(chunks).toString()) as ReadonlyArray<string>
        this.told.push(`restore ${index}`)
      },
      catch: () => ({ message: "that is no list of texts" })
    })
  }

  leadershipBegan(term: number, uncommitted: ReadonlyArray<Entry>): void {
    this.told.push(`began ${term}`)
    this.uncommitted = uncommitted
    this.onBegan()
  }

  leadershipEnded(term: number): void {
    this.told.push(`ended ${term}`)
  }
}

/** A decider for the tests: a sum that refuses to go below zero and, on request, has a bug. */
import * as Either from "effect/Either"
import type { Decider, EventCodec } from "../src/Decider.js"

export interface Sum {
  readonly total: number
  readonly sequence: number
}

export type Command = { readonly add: number } | { readonly throwInDecide: true }

export interface Added {
  readonly by: number
}

export class BelowZero {
  readonly _tag = "BelowZero"
  constructor(readonly total: number) {}
}

export const decider: Decider<Sum, Command, Added, number, BelowZero> = {
  initial: { total: 0, sequence: 0 },
  decide: (state, command) => {
    if ("throwInDecide" in command) throw new Error("a bug")
    const total = state.total + command.add
    if (total < 0) return Either.left(new BelowZero(state.total))
    return Either.right({ events: command.add === 0 ? [] : [{ by: command.add }], reply: total })
  },
  apply: (state, event, sequence) => ({ total: state.total + event.by, sequence }),
  snapshot: (state) => (state.sequence === 0 ? [] : [{ by: state.total }])
}

export const codec: EventCodec<Added> = {
  encode: (event) => JSON.stringify({ by: event.by }),
  decode: (line) => {
    const by: unknown = (JSON.parse(line) as { readonly by?: unknown }).by
    return typeof by === "number" ? Either.right({ by }) : Either.left({ message: `not an addition: ${line}` })
  }
}

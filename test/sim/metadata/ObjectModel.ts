/**
 * Objects of the metadata by name, as a model for `checkLinearizability`: each is there with a text of its own or is not; put, made,
 * changed, removed and read.
 */
import type { Model } from "@effectmq/testing/Linearizability"

export type ObjectInput =
  | { readonly _tag: "Read"; readonly name: string }
  /** Whether it is there or not. */
  | { readonly _tag: "Put"; readonly name: string; readonly value: string }
  /** Refused where it is there. */
  | { readonly _tag: "Make"; readonly name: string; readonly value: string }
  /** Refused where it is not. */
  | { readonly _tag: "Change"; readonly name: string; readonly value: string }
  | { readonly _tag: "Remove"; readonly name: string }

export type ObjectOutput =
  | { readonly _tag: "Value"; readonly value: string | undefined }
  | { readonly _tag: "Done" }
  | { readonly _tag: "Refused" }

interface State {
  readonly value: string | undefined
}

const after = (state: State, input: Exclude<ObjectInput, { readonly _tag: "Read" }>): State | undefined => {
  const isThere = state.value !== undefined
  switch (input._tag) {
    case "Put":
      return { value: input.value }
    case "Make":
      return isThere ? undefined : { value: input.value }
    case "Change":
      return isThere ? { value: input.value } : undefined
    case "Remove":
      return isThere ? { value: undefined } : undefined
  }
}

const text = (value: string | undefined): string => (value === undefined ? "nothing" : JSON.stringify(value))

export const objectModel: Model<State, ObjectInput, ObjectOutput> = {
  initial: { value: undefined },
  step: (state, input, output) => {
    if (input._tag === "Read") {
      return output === undefined || (output._tag === "Value" && output.value === state.value) ? state : undefined
    }
    const next = after(state, input)
    if (output === undefined) return next ?? state
    if (next === undefined) return output._tag === "Refused" ? state : undefined
    return output._tag === "Done" ? next : undefined
  },
  isRead: ({ _tag }) => _tag === "Read",
  stateKey: ({ value }) => text(value),
  key: ({ name }) => name,
  describe: (input, output) => {
    const value = "value" in input ? ` ${text(input.value)}` : ""
    const answer = output === undefined ? "unknown" : output._tag === "Value" ? text(output.value) : output._tag.toLowerCase()
    return `${input._tag.toLowerCase()} ${input.name}${value} -> ${answer}`
  }
}

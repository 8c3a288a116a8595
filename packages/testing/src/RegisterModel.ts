/**
 * Registers by name, as a model for `checkLinearizability`: each holds a text or nothing; read, written, and written where it holds what
 * one expects.
 */
import type { Model } from "./Linearizability.js"

/** `undefined`: nothing is there. */
export type RegisterValue = string | undefined

export type RegisterInput =
  | { readonly _tag: "Read"; readonly name: string }
  | { readonly _tag: "Write"; readonly name: string; readonly value: RegisterValue }
  | { readonly _tag: "CompareAndSet"; readonly name: string; readonly expected: RegisterValue; readonly value: RegisterValue }

export type RegisterOutput =
  | { readonly _tag: "Value"; readonly value: RegisterValue }
  | { readonly _tag: "Written" }
  /** The register held something else. */
  | { readonly _tag: "Refused" }

interface Register {
  readonly value: RegisterValue
}

const text = (value: RegisterValue): string => (value === undefined ? "nothing" : JSON.stringify(value))

const step = (register: Register, input: RegisterInput, output: RegisterOutput | undefined): Register | undefined => {
  switch (input._tag) {
    case "Read":
      return output === undefined || (output._tag === "Value" && output.value === register.value) ? register : undefined
    case "Write":
      return output === undefined || output._tag === "Written" ? { value: input.value } : undefined
    case "CompareAndSet": {
      const fits = register.value === input.expected
      if (output !== undefined && output._tag !== (fits ? "Written" : "Refused")) return undefined
      return fits ? { value: input.value } : register
    }
  }
}

const say = (input: RegisterInput): string => {
  switch (input._tag) {
    case "Read":
      return `read ${input.name}`
    case "Write":
      return `write ${input.name} ${text(input.value)}`
    case "CompareAndSet":
      return `write ${input.name} ${text(input.value)} if it is ${text(input.expected)}`
  }
}

const answer = (output: RegisterOutput | undefined): string =>
  output === undefined ? "unknown" : output._tag === "Value" ? text(output.value) : output._tag.toLowerCase()

export const registerModel: Model<Register, RegisterInput, RegisterOutput> = {
  initial: { value: undefined },
  step,
  isRead: ({ _tag }) => _tag === "Read",
  stateKey: ({ value }) => (value === undefined ? "nothing" : `"${value}"`),
  key: ({ name }) => name,
  describe: (input, output) => `${say(input)} -> ${answer(output)}`
}

/**
 * Why a command did not do what it was asked, and the exit code that says so to scripts.
 */
import * as Data from "effect/Data"

export const exitCodes = {
  /** It was asked rightly and refused, or failed. */
  failed: 1,
  /** Wrong usage or wrong configuration. */
  usage: 2,
  /** The broker could not be reached. */
  unreachable: 3
} as const

export type FailureKind = keyof typeof exitCodes

export class CliFailure extends Data.TaggedError("CliFailure")<{
  readonly kind: FailureKind
  readonly message: string
}> {}

export const failed = (message: string) => new CliFailure({ kind: "failed", message })
export const usage = (message: string) => new CliFailure({ kind: "usage", message })
export const unreachable = (message: string) => new CliFailure({ kind: "unreachable", message })

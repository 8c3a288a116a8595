/**
 * Why a node did not start, in words for the one who started it.
 */
import * as Data from "effect/Data"

export class StartError extends Data.TaggedError("StartError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** Whatever a part failed with, as a sentence with what can be done about it. */
export const startErrorOf = (error: { readonly message: string }): StartError =>
  new StartError({ message: error.message, cause: error })

/**
 * Why a node did not start, in words for the one who started it.
 */
import { StorageError } from "@effectmq/storage/StorageError"
import * as Data from "effect/Data"

export class StartError extends Data.TaggedError("StartError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/** What to do about it, where the failure does not say so itself. */
const advice = (error: unknown): string =>
  error instanceof StorageError && error.reason === "locked"
    ? ". Stop that broker first, or start this one with a --data-dir and ports of its own."
    : ""

/** Whatever a part failed with, as a sentence with what can be done about it. */
export const startErrorOf = (error: { readonly message: string }): StartError =>
  new StartError({ message: `${error.message}${advice(error)}`, cause: error })

/**
 * What went wrong in one line, without stacks: those differ between machines, and traces must not.
 */
import * as Cause from "effect/Cause"

export const sayFailure = (cause: Cause.Cause<unknown>): string => {
  const problem = Cause.squash(cause)
  return problem instanceof Error ? `${problem.name}: ${problem.message}` : String(problem)
}

/**
 * Whether what clients saw could have come from one copy, as a violation where it could not.
 */
import { checkLinearizability, type Model, type Operation } from "@effectmq/testing/Linearizability"
import type { Violations } from "./Violations.js"

export const judgeHistory = <State, Input, Output>(
  violations: Violations,
  model: Model<State, Input, Output>,
  history: ReadonlyArray<Operation<Input, Output>>
): void => {
  const verdict = checkLinearizability(model, history)
  if (verdict._tag === "Violation") {
    const lines = verdict.explanation.slice(-12).join("\n    ")
    violations.add(`the history of ${verdict.key} is not linearizable:\n    ${lines}`)
  } else if (verdict._tag === "Undecided") {
    violations.add(`whether the history of ${verdict.key} is linearizable was not decided`)
  }
}

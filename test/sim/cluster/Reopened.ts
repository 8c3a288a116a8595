/**
 * What a store gives back when it is opened again: all that it said is durable, or what was to take the place of that.
 */
import type { MemberView } from "./GroupWatch.js"
import type { LogView } from "./LogView.js"
import type { Violations } from "./Violations.js"

export const checkReopened = (violations: Violations, nodeId: number, { told, durable }: MemberView, view: LogView): void => {
  const said = (what: string) => violations.add(`the store of node ${nodeId} does not give back ${what}`)
  const fits = (one: LogView) => view.term === one.term && view.votedFor === one.votedFor
  if (!fits(durable) && !fits(told))
    said(`term ${durable.term} and vote ${durable.votedFor}, it has ${view.term} and ${view.votedFor}`)
  if (view.snapshotIndex < durable.snapshotIndex) said(`the snapshot at ${durable.snapshotIndex}`)
  for (const [index, { term, digest }] of durable.entries) {
    if (index <= view.snapshotIndex) continue
    const found = view.entries.get(index)
    const replaced = told.entries.get(index)
    const matches = found?.term === term && found.digest === digest
    if (!matches && !(found?.term === replaced?.term && replaced?.term !== term)) said(`entry ${index} of term ${term}`)
  }
}

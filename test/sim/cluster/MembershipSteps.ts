/**
 * How memberships may follow each other, judged by their entries in the log of whoever wrote them.
 */
import type { LogView } from "./LogView.js"
import { apart, isMajority, sayMembership } from "./Majorities.js"
import type { Violations } from "./Violations.js"

/** Those that follow each other have no majorities that share nobody. */
export const checkStep = (violations: Violations, nodeId: number, told: LogView, index: number): void => {
  const before = told.membershipBefore(index)
  const after = told.membershipBefore(index + 1)
  if (before === undefined || after === undefined) return
  const sides = apart(before.membership, after.membership)
  if (sides === undefined) return
  const change = `${sayMembership(before.membership)} to ${sayMembership(after.membership)}`
  violations.add(`node ${nodeId} changes the membership from ${change}: ${sides[0]} and ${sides[1]} are two majorities`)
}

/** Of two changes under way at once, one may come back beside the other (Ongaro on raft-dev, 2015). */
export const checkBegun = (
  violations: Violations,
  nodeId: number,
  told: LogView,
  index: number,
  holdersOf: (index: number, term: number) => ReadonlyArray<number>
): void => {
  const before = told.membershipBefore(index)
  const term = told.termAt(index)
  if (before === undefined || term === undefined) return
  let needed = before.index
  while (told.termAt(needed) !== undefined && told.termAt(needed) !== term && needed < index) needed++
  const neededTerm = told.termAt(needed)
  if (neededTerm === undefined) return
  const holders = holdersOf(needed, neededTerm)
  if (needed < index && isMajority(before.membership, new Set(holders))) return
  const what = `node ${nodeId} changes the membership at ${index} in term ${term}`
  violations.add(`${what}, entry ${needed} is durable on ${holders} of ${sayMembership(before.membership)}`)
}

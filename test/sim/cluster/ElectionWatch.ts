/**
 * Watches who votes and who leads: at most one leader in a term, with the votes of a majority of both halves of the membership that
 * its log has in force; one vote of a member in a term, durable before it is spoken of.
 */
import type { MemberView } from "./GroupWatch.js"
import { isMajority, sayMembership } from "./Majorities.js"
import type { Violations } from "./Violations.js"

export class ElectionWatch {
  private readonly leadersByTerm = new Map<number, number>()
  /** By member and term: whom it gave its vote. */
  private readonly votes = new Map<string, number>()

  constructor(
    private readonly violations: Violations,
    private readonly viewOf: (nodeId: number) => MemberView
  ) {}

  /** Terms that had a leader. */
  get count(): number {
    return this.leadersByTerm.size
  }

  leaderOf(term: number): number | undefined {
    return this.leadersByTerm.get(term)
  }

  voted(nodeId: number, term: number, candidate: number): void {
    const { durable } = this.viewOf(nodeId)
    const key = `${nodeId} ${term}`
    const earlier = this.votes.get(key) ?? candidate
    this.votes.set(key, candidate)
    const vote = `node ${nodeId} gives its vote of term ${term} to node ${candidate}`
    if (earlier !== candidate) this.violations.add(`${vote}, and gave it to node ${earlier} before`)
    if (durable.term === term && durable.votedFor !== candidate) this.violations.add(`${vote}, and that is not durable`)
  }

  /** Called for every sign of leadership; whether it is news. */
  leads(nodeId: number, term: number): boolean {
    const known = this.leadersByTerm.get(term)
    if (known === nodeId) return false
    if (known !== undefined) {
      this.violations.add(`nodes ${known} and ${nodeId} both lead in term ${term}`)
      return false
    }
    this.leadersByTerm.set(term, nodeId)
    this.checkVotes(nodeId, term)
    return true
  }

  private checkVotes(nodeId: number, term: number): void {
    const { membership } = this.viewOf(nodeId).told
    if (membership === undefined) return this.violations.add(`node ${nodeId} leads in term ${term}, and knows of no membership`)
    const halves = [...membership.voters, ...membership.outgoingVoters]
    // Its own vote is spoken of only where others are asked.
    const givers = halves.filter((voter) => voter === nodeId || this.votes.get(`${voter} ${term}`) === nodeId)
    if (isMajority(membership, new Set(givers))) return
    const votes = `the votes of ${[...new Set(givers)]} of ${sayMembership(membership)}`
    this.violations.add(`node ${nodeId} leads in term ${term} with ${votes}`)
  }
}

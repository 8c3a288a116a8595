/**
 * Majorities of memberships, counted anew and in another way than raft does it: by trying every set of voters.
 */
import type { Membership } from "@effectmq/schemas/raft/Membership"

const halves = ({ voters, outgoingVoters }: Membership): ReadonlyArray<ReadonlyArray<number>> =>
  outgoingVoters.length > 0 ? [voters, outgoingVoters] : [voters]

export const isMajority = (membership: Membership, nodes: ReadonlySet<number>): boolean =>
  halves(membership).every((half) => half.length > 0 && 2 * half.filter((nodeId) => nodes.has(nodeId)).length > half.length)

/** Two sets that share nobody, one a majority of each; undefined where there are none. */
export const apart = (a: Membership, b: Membership): readonly [ReadonlyArray<number>, ReadonlyArray<number>] | undefined => {
  const everybody = [...new Set([...halves(a), ...halves(b)].flat())]
  for (let mask = 0; mask < 2 ** everybody.length; mask++) {
    const inside = everybody.filter((_, index) => mask & (1 << index))
    const outside = everybody.filter((_, index) => !(mask & (1 << index)))
    if (isMajority(a, new Set(inside)) && isMajority(b, new Set(outside))) return [inside, outside]
  }
  return undefined
}

export const sayMembership = ({ voters, outgoingVoters, learners }: Membership): string =>
  `${voters.join(",")}${outgoingVoters.length > 0 ? ` from ${outgoingVoters.join(",")}` : ""}${learners.length > 0 ? ` learning ${learners.join(",")}` : ""}`

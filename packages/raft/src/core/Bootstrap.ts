/**
 * The beginning of a group: every first member writes the same entry, committed by that, so that none of them has to be first.
 */
import type { Member } from "@effectmq/schemas/raft/Membership"
import type { HardState, RaftWrite } from "../RaftStore.js"
import { firstMembership } from "./MembershipChange.js"

export const bootstrapTerm = 1

export const bootstrap = (members: ReadonlyArray<Member>) =>
  ({
    hardState: { term: bootstrapTerm, votedFor: 0, commitIndex: 1 },
    entries: [{ kind: "membership", index: 1, term: bootstrapTerm, membership: firstMembership(members) }]
  }) as const satisfies RaftWrite & { readonly hardState: HardState }

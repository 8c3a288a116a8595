/**
 * Who leads, as a node knows: from its own Raft member where it has one, else from what others said.
 */
import type { RaftNodeService } from "@effectmq/raft/RaftNode"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"

export interface Leader {
  readonly member: Member
  readonly term: number
}

export interface Leaders {
  /** undefined: nobody is known to lead. */
  now(): Leader | undefined
  /** Somebody was asked and said so; `leaderId` 0: he knows nobody. */
  heard(said: { readonly leaderId: number; readonly term: number; readonly address?: string | undefined }): void
  /** The one that was asked does not answer. */
  silent(leader: Leader): void
  /** Succeeds once another leads than the given one, in a later term. One that is only guessed at is no news to who has guessed. */
  after(leader: Leader | undefined): Effect.Effect<Leader>
}

export const isOther = (now: Leader | undefined, than: Leader | undefined): now is Leader =>
  now !== undefined && (than === undefined || now.term !== than.term || now.member.nodeId !== than.member.nodeId)

/** Whoever was only guessed at has no term. */
const isGuess = ({ term }: Leader): boolean => term === 0

/** Listens until it is answered; `now` is asked first and with every change. */
const waitFor = (now: () => Leader | undefined, than: Leader | undefined, onChange: (listener: () => void) => () => void) =>
  Effect.async<Leader>((resume) => {
    // One guess after another, where each is refused at once, would be a loop in which no time passes.
    const isNews = (leader: Leader | undefined): leader is Leader =>
      isOther(leader, than) && !(isGuess(leader) && than !== undefined && isGuess(than))
    const found = now()
    if (isNews(found)) return resume(Effect.succeed(found))
    const stop = onChange(() => {
      const leader = now()
      if (!isNews(leader)) return
      stop()
      resume(Effect.succeed(leader))
    })
    return Effect.sync(stop)
  })

/** Of a member: its Raft node knows best, and what others say is not asked for. */
export const ofMember = (raft: RaftNodeService): Leaders => {
  const now = (): Leader | undefined => {
    const { leaderId, term, membership, fenced } = raft.status()
    const member = membership.members.find(({ nodeId }) => nodeId === leaderId)
    return member === undefined || fenced !== undefined ? undefined : { member, term }
  }
  return {
    now,
    heard: () => undefined,
    silent: () => undefined,
    after: (leader) => waitFor(now, leader, (listener) => raft.onStatus(listener))
  }
}

/**
 * Of a node without a Raft member: who answers last is believed. While nobody is known, `candidates` are asked one after another:
 * one that does not lead says who does.
 */
export const ofObserver = (candidates: () => ReadonlyArray<Member>): Leaders => {
  let known: Leader | undefined
  let next = 0
  const listeners = new Set<() => void>()
  const set = (leader: Leader | undefined) => {
    known = leader
    for (const listener of [...listeners]) listener()
  }
  const now = (): Leader | undefined => {
    if (known !== undefined) return known
    const all = candidates()
    const member = all[next % Math.max(1, all.length)]
    return member === undefined ? undefined : { member, term: 0 }
  }
  const giveUp = () => {
    next++
    set(undefined)
  }
  return {
    now,
    heard: ({ leaderId, term, address }) => {
      if (known !== undefined && term < known.term) return
      const where = address ?? candidates().find(({ nodeId }) => nodeId === leaderId)?.address
      if (leaderId === 0 || where === undefined) return giveUp()
      const leader = { member: { nodeId: leaderId, address: where }, term }
      if (isOther(leader, known)) set(leader)
    },
    silent: (leader) => {
      if (!isOther(now(), leader)) giveUp()
    },
    after: (leader) =>
      waitFor(now, leader, (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      })
  }
}

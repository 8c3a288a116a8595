/** Whom a node takes for the leader, and when it learns of another one. */
import type { RaftNodeService, RaftStatus } from "@effectmq/raft/RaftNode"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import * as Leaders from "../src/internal/Leaders.js"
import { memberOf } from "./support/MemoryCluster.js"

const members = [1, 2, 3].map(memberOf)
const leaderAt = (nodeId: number, term: number): Leaders.Leader => ({ member: memberOf(nodeId), term })
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Whoever waits for another leader, and what he found so far. */
const waits = async (leaders: Leaders.Leaders, than: Leaders.Leader | undefined) => {
  const fiber = Effect.runFork(leaders.after(than))
  await turn()
  return { found: () => fiber.unsafePoll()?.pipe(Effect.runSync), stop: () => Effect.runPromise(Fiber.interrupt(fiber)) }
}

/** A Raft member, whose status the test says. */
const memberWith = (first: Partial<RaftStatus>) => {
  let status = { membership: { members }, leaderId: 0, term: 1, ...first } as unknown as RaftStatus
  const listeners = new Set<() => void>()
  const raft = {
    status: () => status,
    onStatus: (listener: () => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  } as unknown as RaftNodeService
  const becomes = (more: Partial<RaftStatus>) => {
    status = { ...status, ...more }
    for (const listener of [...listeners]) listener()
    return turn()
  }
  return { becomes, leaders: Leaders.ofMember(raft), listeners }
}

describe("a member", () => {
  it("knows whom its Raft node knows, unless it takes part no more", async () => {
    const { becomes, leaders } = memberWith({})
    expect(leaders.now()).toBeUndefined()
    await becomes({ leaderId: 2, term: 5 })
    expect(leaders.now()).toEqual(leaderAt(2, 5))
    leaders.heard({ leaderId: 3, term: 9 })
    leaders.silent(leaderAt(2, 5))
    expect(leaders.now()).toEqual(leaderAt(2, 5))
    await becomes({ fenced: "broken" })
    expect(leaders.now()).toBeUndefined()
    await becomes({ fenced: undefined, leaderId: 9 })
    expect(leaders.now()).toBeUndefined()
  })

  it("learns of another leader, and of the same one in a later term, and then listens no more", async () => {
    const { becomes, leaders, listeners } = memberWith({ leaderId: 1, term: 4 })
    const other = await waits(leaders, leaderAt(1, 4))
    await becomes({ commitIndex: 9 })
    await becomes({ leaderId: 0 })
    expect(other.found()).toBeUndefined()
    await becomes({ leaderId: 2, term: 5 })
    expect(other.found()).toEqual(leaderAt(2, 5))
    expect(listeners.size).toBe(0)
    const again = await waits(leaders, leaderAt(2, 5))
    await becomes({ term: 6 })
    expect(again.found()).toEqual(leaderAt(2, 6))
    const stopped = await waits(leaders, leaderAt(2, 6))
    expect(listeners.size).toBe(1)
    await stopped.stop()
    expect(listeners.size).toBe(0)
  })
})

describe("a node without a Raft member", () => {
  it("believes who was heard last, but not of an earlier term", () => {
    const leaders = Leaders.ofObserver(() => members)
    leaders.heard({ leaderId: 2, term: 5 })
    leaders.heard({ leaderId: 3, term: 4 })
    leaders.heard({ leaderId: 0, term: 4 })
    expect(leaders.now()).toEqual(leaderAt(2, 5))
    leaders.heard({ leaderId: 3, term: 6 })
    expect(leaders.now()).toEqual(leaderAt(3, 6))
    // Of the same term: whoever was believed to lead says that he does not.
    leaders.heard({ leaderId: 0, term: 6 })
    expect(leaders.now()?.term).toBe(0)
  })

  it("takes the address from whoever says who leads, else from the members it knows", () => {
    const leaders = Leaders.ofObserver(() => members)
    leaders.heard({ leaderId: 2, term: 5, address: "moved:1" })
    expect(leaders.now()?.member.address).toBe("moved:1")
    leaders.heard({ leaderId: 3, term: 6 })
    expect(leaders.now()?.member).toEqual(memberOf(3))
    leaders.heard({ leaderId: 9, term: 7 })
    expect(leaders.now()?.term).toBe(0)
  })

  it("guesses the next one where the one it guessed knows nobody or is silent, and heeds no earlier one's silence", () => {
    const leaders = Leaders.ofObserver(() => members)
    const guess = leaders.now() as Leaders.Leader
    leaders.heard({ leaderId: 0, term: 0 })
    expect(leaders.now()).toEqual(leaderAt(2, 0))
    leaders.silent(guess)
    expect(leaders.now()).toEqual(leaderAt(2, 0))
    leaders.heard({ leaderId: 1, term: 3 })
    leaders.silent(leaderAt(1, 2))
    leaders.silent(leaderAt(2, 0))
    expect(leaders.now()).toEqual(leaderAt(1, 3))
    leaders.silent(leaderAt(1, 3))
    expect(leaders.now()).toEqual(leaderAt(3, 0))
    expect(Leaders.ofObserver(() => []).now()).toBeUndefined()
  })

  it("learns of another leader while it waits, of a guess only where it knew one", async () => {
    const leaders = Leaders.ofObserver(() => members)
    leaders.heard({ leaderId: 1, term: 3 })
    const known = leaderAt(1, 3)
    const waiting = await waits(leaders, known)
    leaders.heard({ leaderId: 1, term: 3 })
    await turn()
    expect(waiting.found()).toBeUndefined()
    leaders.silent(known)
    await turn()
    expect(waiting.found()).toEqual(leaderAt(2, 0))
    const guessing = await waits(leaders, leaderAt(2, 0))
    leaders.silent(leaderAt(2, 0))
    await turn()
    expect(guessing.found()).toBeUndefined()
    leaders.heard({ leaderId: 3, term: 4 })
    await turn()
    expect(guessing.found()).toEqual(leaderAt(3, 4))
  })
})

it("another leader is another node, or the same one in another term", () => {
  expect(Leaders.isOther(leaderAt(1, 3), leaderAt(1, 3))).toBe(false)
  expect(Leaders.isOther(leaderAt(1, 4), leaderAt(1, 3))).toBe(true)
  expect(Leaders.isOther(leaderAt(2, 3), leaderAt(1, 3))).toBe(true)
  expect(Leaders.isOther(leaderAt(1, 3), undefined)).toBe(true)
  expect(Leaders.isOther(undefined, leaderAt(1, 3))).toBe(false)
})

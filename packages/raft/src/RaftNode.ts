/**
 * A member of a Raft group at work: it drives the pure machine (core/) with ticks, messages and proposals, and does what comes
 * out in the order that must hold: persist, send, apply.
 */
import type { Member, Membership } from "@effectmq/schemas/raft/Membership"
import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import { Meters } from "@effectmq/metrics/Meters"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { bootstrap } from "./core/Bootstrap.js"
import { defaultLimits, type MachineOptions } from "./core/MachineOptions.js"
import { RaftMachine } from "./core/RaftMachine.js"
import { RaftViolation } from "./core/RaftViolation.js"
import { meters, registerGauges } from "./internal/RaftMeters.js"
import { restore } from "./internal/DurableWork.js"
import { makeHandOver } from "./internal/HandOver.js"
import { RaftDriver } from "./internal/RaftDriver.js"
import type { RaftNodeOptions } from "./RaftNodeOptions.js"
import { RaftStore, RaftStoreError } from "./RaftStore.js"
import { RaftTransport } from "./RaftTransport.js"
import type { RaftUnavailable } from "./RaftUnavailable.js"
import type { StateMachine } from "./StateMachine.js"

export { RaftUnavailable } from "./RaftUnavailable.js"

export type RaftRole = "follower" | "preCandidate" | "candidate" | "leader" | "learner"

/** What a leader knows of another member. */
export interface FollowerStatus {
  readonly nodeId: number
  readonly matchIndex: number
  /** `probe`: looking for where the logs part; `replicate`: entries flow; `snapshot`: a snapshot is on its way. */
  readonly state: "probe" | "replicate" | "snapshot"
  /** Ms since it was heard of last. */
  readonly silentMs: number
}

export interface RaftStatus {
  readonly nodeId: number
  readonly role: RaftRole
  readonly term: number
  /** 0 where none is known. */
  readonly leaderId: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly snapshotIndex: number
  readonly membership: Membership
  /** Of the entry, or the snapshot, that says so: it may not be committed yet. */
  readonly membershipIndex: number
  /** Only where this member leads. */
  readonly followers: ReadonlyArray<FollowerStatus>
  /** Why this member takes part no more; undefined while it does. */
  readonly fenced: string | undefined
  /** Its log has no space left: it stands still until there is some, and does not lead. Undefined where there is. */
  readonly noSpace: string | undefined
}

/** One step of who takes part. `promote`: a learner that has caught up gets a vote. */
export type MembershipChange =
  | { readonly _tag: "AddLearner"; readonly member: Member }
  | { readonly _tag: "Promote"; readonly nodeId: number }
  | { readonly _tag: "Remove"; readonly nodeId: number }
  | { readonly _tag: "SetAddress"; readonly member: Member }

export interface RaftNodeService {
  readonly storeId: string
  status(): RaftStatus
  /**
   * Appends a command to the leader's log, at once; right is its index. It is committed when `StateMachine.apply` gets an entry of
   * that index and this term; it may be lost when `leadershipEnded` comes first.
   */
  propose(term: number, data: Uint8Array): Either.Either<number, RaftUnavailable>
  /**
   * Succeeds when this member has applied everything that was committed anywhere when it was called, as a majority confirmed
   * meanwhile; answers the applied index. Works on every member (read index, dissertation 6.4).
   */
  readonly readBarrier: Effect.Effect<number, RaftUnavailable>
  /** On the leader; succeeds when the last entry it takes (joint and final) is committed. */
  changeMembership(change: MembershipChange): Effect.Effect<void, RaftUnavailable>
  /** On the leader; succeeds when the other leads. */
  transferLeadership(toNodeId: number): Effect.Effect<void, RaftUnavailable>
  /**
   * Where this member leads: lets another lead, for this one is about to stop. Takes a second at the most, and is part of closing the
   * scope; whoever has more to close calls it first.
   */
  readonly handOver: Effect.Effect<void>
  /** Now, besides those that are taken when they are due. */
  readonly takeSnapshot: Effect.Effect<SnapshotMeta, RaftUnavailable>
  /** Called after every change of role, term, leader, membership or of whether it can go on. Returns how to stop that. */
  onStatus(listener: (status: RaftStatus) => void): () => void
  /** Whom a member speaks to while no log tells it who is in the group; in place of `contacts`. */
  setContacts(contacts: ReadonlyArray<Member>): void
  /** Takes part no more, loudly: something was found that must not be. */
  fence(reason: string): void
}

export class RaftNode extends Context.Tag("@effectmq/raft/RaftNode")<RaftNode, RaftNodeService>() {}

const machineOptions = (options: RaftNodeOptions): MachineOptions => {
  const ticks = (ms: number) => Math.max(1, Math.round(ms / options.tickMs))
  const electionTicks = ticks(options.electionMsMin)
  const spread = Math.max(1, ticks(options.electionMsMax) - electionTicks + 1)
  return {
    ...defaultLimits,
    nodeId: options.nodeId,
    heartbeatTicks: ticks(options.heartbeatMs),
    electionTicks,
    drawElectionTicks: () => electionTicks + Math.floor(Math.random() * spread),
    preVote: true,
    checkQuorum: true,
    leaseReads: options.leaseReads,
    leaseMarginTicks: ticks(options.leaseMarginMs),
    appendBytesMax: options.appendBytesMax,
    inflightMessagesMax: options.inflightMessagesMax,
    inflightBytesMax: options.inflightBytesMax,
    commandBytesMax: options.commandBytesMax,
    uncommittedBytesMax: options.uncommittedBytesMax,
    promoteLagEntriesMax: options.promoteLagEntriesMax
  }
}

/**
 * Starts a member on the store and the transport that are provided, until the scope closes. The state machine has the state of the
 * newest snapshot when this succeeds; entries behind it are applied as they are known to be committed. A member that votes alone
 * leads at once.
 */
export const make = (
  options: RaftNodeOptions,
  stateMachine: StateMachine
): Effect.Effect<RaftNodeService, RaftStoreError, RaftStore | RaftTransport | Meters | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* RaftStore
    const transport = yield* RaftTransport
    const metersService = yield* Meters
    const scope = yield* Effect.scope
    const { stored } = store
    let { hardState, entries } = stored
    const isEmpty = stored.snapshot === undefined && entries.length === 0 && hardState.term === 0
    if (isEmpty && options.initialMembers.length > 0) {
      if (!options.initialMembers.some((member) => member.nodeId === options.nodeId)) {
        return yield* Effect.dieMessage(`node ${options.nodeId} is not among the first members of its raft group`)
      }
      const first = bootstrap(options.initialMembers)
      yield* store.persist(first)
      hardState = first.hardState
      entries = first.entries
    }
    const start = { hardState, snapshot: stored.snapshot, entries }
    const machine = yield* Effect.try({
      try: () => new RaftMachine(machineOptions(options), start),
      catch: (cause) => cause
    }).pipe(
      Effect.catchAll((cause) => {
        if (!(cause instanceof RaftViolation)) return Effect.die(cause)
        const message = `${cause.message}; what this node wrote was lost or altered: remove it from the group and add it anew, empty`
        return Effect.fail(new RaftStoreError({ reason: "damaged", message, cause }))
      })
    )
    const driver = new RaftDriver({
      options,
      machine,
      store,
      transport,
      stateMachine,
      meters: meters(metersService),
      scope,
      firstReadId: Math.floor(Math.random() * 2 ** 31) * 2 ** 20 + 1
    })
    registerGauges(metersService, () => driver.board.status())
    if (machine.snapshot !== undefined) {
      const restored = restore(store, stateMachine, machine.snapshot)
      yield* Effect.catchAll(restored, (failure) =>
        typeof failure === "string" ? Effect.sync(() => driver.fence(failure)) : Effect.fail(failure)
      )
    }
    if (machine.membership.voters.length === 1) machine.campaign()
    yield* Effect.acquireRelease(
      Effect.sync(() => transport.onMessage((message) => driver.receive(message))),
      (stop) => Effect.sync(stop)
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => driver.close()))
    yield* driver.ticks
    yield* Effect.forkScoped(driver.run)

    const wish = (begin: (answer: (error: RaftUnavailable | undefined) => void) => void) =>
      Effect.async<void, RaftUnavailable>((resume) => {
        const unavailable = driver.standsStill()
        if (unavailable !== undefined) return resume(unavailable)
        begin((error) => resume(error ?? Effect.void))
        driver.wake()
      })

    const transferLeadership = (toNodeId: number) => wish((answer) => driver.wishes.transfer(toNodeId, answer))
    const handOver = makeHandOver(machine, transferLeadership)
    yield* Effect.addFinalizer(() => handOver)

    return {
      storeId: stored.storeId,
      status: () => driver.board.status(),
      propose: (term, data) => driver.propose(term, data),
      readBarrier: Effect.async<number, RaftUnavailable>((resume) => {
        const unavailable = driver.standsStill()
        if (unavailable !== undefined) return resume(unavailable)
        const giveUp = driver.reads.add(
          (appliedIndex) => resume(Effect.succeed(appliedIndex)),
          (error) => resume(error)
        )
        driver.wake()
        return Effect.sync(giveUp)
      }),
      changeMembership: (change) => wish((answer) => driver.wishes.change(change, answer)),
      transferLeadership,
      handOver,
      takeSnapshot: Effect.async<SnapshotMeta, RaftUnavailable>((resume) => {
        const unavailable = driver.standsStill()
        if (unavailable !== undefined) return resume(unavailable)
        driver.snapshots.wish((outcome) => resume("index" in outcome ? Effect.succeed(outcome) : outcome))
      }),
      onStatus: (listener) => driver.board.onStatus(listener),
      setContacts: (contacts) => driver.setContacts(contacts),
      fence: (reason) => driver.fence(reason)
    }
  })

export const layer = (
  options: RaftNodeOptions,
  stateMachine: StateMachine
): Layer.Layer<RaftNode, RaftStoreError, RaftStore | RaftTransport | Meters> =>
  Layer.scoped(RaftNode, make(options, stateMachine))

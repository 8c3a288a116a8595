/**
 * `Metadata`, `Controller` and `ClusterControl` of a node that is a member of the Raft group.
 *
 * The services are there as soon as the member is at work, whether or not a majority is: `ready` waits until the node can serve.
 * A node whose store is empty first asks the others whether they know it (internal/Introduction).
 */
import * as RaftNode from "@effectmq/raft/RaftNode"
import { defaultOptions as raftDefaults, type RaftNodeOptions } from "@effectmq/raft/RaftNodeOptions"
import { RaftStore, type RaftStoreError } from "@effectmq/raft/RaftStore"
import type { RaftTransport } from "@effectmq/raft/RaftTransport"
import type { Meters } from "@effectmq/metrics/Meters"
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { Node } from "@effectmq/schemas/metadata/Node"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { ClusterControl, type ClusterControlService } from "./ClusterControl.js"
import { ClusterPeers } from "./ClusterPeers.js"
import { Controller, type ControllerService } from "./Controller.js"
import { clusterStatus } from "./internal/clusterStatus.js"
import * as Control from "./internal/Control.js"
import { Deadlines } from "./internal/Deadlines.js"
import { Forwarder } from "./internal/Forwarder.js"
import { type IntroductionError, introduce, isEmpty } from "./internal/Introduction.js"
import * as Leaders from "./internal/Leaders.js"
import * as Liveness from "./internal/Liveness.js"
import * as MemberPeer from "./internal/MemberPeer.js"
import { Place, type Problem } from "./internal/Place.js"
import { noSpaceHere, readUnavailableOf } from "./internal/raftErrors.js"
import { register, usable } from "./internal/Registration.js"
import { Roll } from "./internal/Roll.js"
import { standing } from "./internal/Standing.js"
import * as Submitter from "./internal/Submitter.js"
import { watchOwnFencing } from "./internal/watchOwnFencing.js"
import { LocalPeer } from "./LocalPeer.js"
import { Metadata, type MetadataService } from "./Metadata.js"
import { defaultOptions as machineDefaults, MetadataMachine, type MetadataMachineOptions } from "./MetadataMachine.js"
import { Waits } from "./Waits.js"

export interface MetadataMemberOptions {
  readonly node: Omit<Node, "registeredAtMs" | "storeId">
  /** The first members of a new group, this node among them; empty: this node waits until it is added. */
  readonly initialMembers: ReadonlyArray<Member>
  /** Whom to ask while the log does not say who the members are. */
  readonly contacts?: ReadonlyArray<Member> | undefined
  /** Of a cluster that is made now; random where it is absent. A cluster that exists keeps its id. */
  readonly clusterId?: string | undefined
  readonly raft?: Partial<RaftNodeOptions> | undefined
  readonly machine?: Partial<MetadataMachineOptions> | undefined
  readonly liveness?: Partial<Liveness.LivenessOptions> | undefined
  /** A command is answered within this time. */
  readonly submitMsMax?: number | undefined
  /** A linearizable read is answered within this time. */
  readonly syncMsMax?: number | undefined
  /** Is told what this node waits for before it can serve. */
  readonly waits?: Waits | undefined
}

const submitMsMax = 5_000
const syncMsMax = 3_000

export type MetadataStartError = RaftStoreError | IntroductionError

/** Whether this node is registered with its cluster. */
export class Registered extends Context.Tag("@effectmq/metadata/MetadataMember/Registered")<
  Registered,
  {
    /** Succeeds when the node can serve: registered, or it knows its cluster of old and no majority was reached for a while. */
    readonly usable: Effect.Effect<void, MetadataError>
  }
>() {}

export interface MetadataMemberServices {
  readonly metadata: MetadataService
  readonly controller: ControllerService
  readonly control: ClusterControlService
  readonly raft: RaftNode.RaftNodeService
  readonly machine: MetadataMachine
  readonly usable: Effect.Effect<void, MetadataError>
}

/** It is no matter of majorities where this node takes no part. */
const toldOutside =
  (problemNow: () => Problem | undefined) =>
  <E extends MetadataError>(error: E): E | MetadataUnavailable => {
    if (error._tag !== "MetadataUnavailable" || error.reason !== "no-leader") return error
    const problem = problemNow()
    return problem?.kind === "joining"
      ? new MetadataUnavailable({ reason: "no-leader", message: `this node ${problem.why}` })
      : error
  }

/** As the rest of a sentence about the node. */
const faultOf = ({ kind, why }: Problem): string => {
  if (kind === "joining") return why
  return kind === "noSpace" ? `can take no changes of the metadata: ${why}` : `takes no part in the metadata any more: ${why}`
}

/** Raft itself bounds the time of a read. */
const metadataOf = (
  machine: MetadataMachine,
  raft: RaftNode.RaftNodeService,
  place: Place,
  problemNow: () => Problem | undefined
): MetadataService => ({
  image: () => machine.view.image(),
  sync: Effect.suspend(() => {
    const out = place.error
    if (out !== undefined) return Effect.fail(out)
    return Effect.mapBoth(raft.readBarrier, {
      onFailure: (error) => toldOutside(problemNow)(readUnavailableOf(error)),
      onSuccess: () => machine.view.image()
    })
  }),
  isStale: () => MemberPeer.isStale(raft.status()),
  fault: () => {
    const problem = problemNow()
    return problem === undefined ? undefined : faultOf(problem)
  },
  changes: machine.view.changes,
  onChange: (listener) => machine.view.onChange(listener)
})

const noSpaceOf = (raft: RaftNode.RaftNodeService): Submitter.NoSpace => {
  const now = () => {
    const { noSpace } = raft.status()
    return noSpace === undefined ? undefined : noSpaceHere(noSpace)
  }
  const onBegin = (listener: () => void) =>
    void raft.onStatus(() => {
      if (now() !== undefined) listener()
    })
  return { now, onBegin }
}

/** The others call this node where it says now, and not where it was when it joined. */
const keepAddress = (
  { nodeId, rpcAddress }: MetadataMemberOptions["node"],
  raft: RaftNode.RaftNodeService,
  control: Control.Control
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const member = raft.status().membership.members.find((one) => one.nodeId === nodeId)
    if (member === undefined || rpcAddress === undefined || member.address === rpcAddress) return Effect.void
    return Effect.catchAll(control.setAddress({ nodeId, address: rpcAddress }), (error) =>
      Effect.logWarning(`the others call this node at ${member.address} and not at ${rpcAddress} yet: ${error.message}`)
    )
  })

export const make = (
  options: MetadataMemberOptions
): Effect.Effect<
  MetadataMemberServices,
  MetadataStartError,
  RaftStore | RaftTransport | ClusterPeers | LocalPeer | Meters | Scope.Scope
> =>
  Effect.gen(function* () {
    const store = yield* RaftStore
    const peers = yield* ClusterPeers
    const localPeer = yield* LocalPeer
    const scope = yield* Effect.scope
    const { nodeId } = options.node
    const { storeId } = store.stored
    const contacts = options.contacts ?? options.initialMembers

    const others = contacts.filter((member) => member.nodeId !== nodeId)
    const waits = options.waits ?? new Waits()
    const waitsFor = (what: string | undefined) => waits.set("introduction", what)
    const introduced = isEmpty(store.stored)
      ? yield* introduce({ nodeId, storeId, others, initialMembers: options.initialMembers, peers, waitsFor })
      : "joins"
    const initialMembers = introduced === "begins" ? options.initialMembers : []

    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const roll = new Roll()
    const complain = (message: string, ...details: ReadonlyArray<unknown>) => void runFork(Effect.logError(message, ...details))
    const machine = new MetadataMachine({ ...machineDefaults, ...options.machine }, complain, roll)
    const readTimeoutMs = options.syncMsMax ?? syncMsMax
    const raft = yield* RaftNode.make(
      { ...raftDefaults, readTimeoutMs, ...options.raft, nodeId, initialMembers, contacts },
      machine
    )
    yield* machine.serve(raft)

    const place = new Place(nodeId, store.stored, machine.view)
    const problemNow = () => place.look(raft.status())
    const stopLooking = raft.onStatus((status) => place.look(status))
    yield* Effect.addFinalizer(() => Effect.sync(stopLooking))
    const fault = () => machine.fault ?? place.error
    const leaders = Leaders.ofMember(raft)
    const forwarder = new Forwarder(peers, leaders)
    yield* Effect.forkScoped(forwarder.run(scope))
    const submitter = Submitter.make({
      nodeId,
      view: machine.view,
      machine,
      fault,
      noSpace: noSpaceOf(raft),
      leaders,
      forwarder,
      deadlines: new Deadlines((effect) => void runFork(Effect.forkIn(effect, scope))),
      options: {
        submitMsMax: options.submitMsMax ?? submitMsMax,
        commandsWaitingMax: options.machine?.commandsWaitingMax ?? machineDefaults.commandsWaitingMax
      }
    })
    const controller: ControllerService = {
      submit: (command) => Effect.mapError(submitter.submit(command), toldOutside(problemNow))
    }
    const metadata = metadataOf(machine, raft, place, problemNow)
    const membership = () => raft.status().membership
    const local = { report: MemberPeer.report(raft, machine, place) }
    const status = clusterStatus({ nodeId, local, peers, membership, metadata })
    const peer = MemberPeer.make({ raft, machine, roll, report: local.report, status })
    yield* localPeer.install(peer)

    const liveness = { ...Liveness.defaultOptions, ...options.liveness }
    const { replica } = machine
    const diverged = (problem: string) => machine.fail(problem)
    yield* Effect.forkScoped(Liveness.heartbeats({ nodeId, storeId, replica, leaders, peers, diverged }, liveness))
    const leadsInTerm = () => machine.leadsInTerm
    yield* Effect.forkScoped(Liveness.fencing({ nodeId, leadsInTerm, replica, roll, controller }, liveness))
    yield* watchOwnFencing(nodeId, machine.view)
    const clusterId = () => metadata.image().cluster?.clusterId
    const registered = yield* Deferred.make<void, MetadataError>()
    const node = { ...options.node, storeId }
    const registration = {
      metadata,
      controller,
      node,
      clusterId: options.clusterId,
      makesCluster: true,
      mayReturn: () => place.reason !== undefined,
      waitsFor: (what: string | undefined) => waits.set("registration", what)
    }
    const control = Control.make({
      nodeId,
      local: peer,
      peers,
      leaders,
      fault,
      status,
      isMember: (nodeId) => raft.status().membership.members.some((member) => member.nodeId === nodeId),
      members: () => raft.status().membership.members,
      metadata,
      controller,
      content: () => replica.content
    })
    const standingParts = {
      nodeId,
      raft,
      peers,
      contacts: others,
      clusterId,
      address: options.node.rpcAddress,
      place,
      // Who took it out took it off the list of nodes as well.
      returned: Effect.flatMap(Deferred.make<void, MetadataError>(), (again) => register(registration, again)),
      waitsFor: (what: string | undefined) => waits.set("membership", what)
    }
    yield* Effect.forkScoped(standing(standingParts, liveness.heartbeatMs))
    yield* register(registration, registered).pipe(Effect.zipRight(keepAddress(options.node, raft, control)), Effect.forkScoped)
    // First of all that is closed: what was asked for here is still answered, and the others need not wait to find a leader.
    yield* Effect.addFinalizer(() => raft.handOver)
    return { metadata, controller, control, raft, machine, usable: usable(metadata, registered, place) }
  })

/** Needs the RPC server of this node to be at work where there are others, so that they find each other. */
export const layer = (
  options: MetadataMemberOptions
): Layer.Layer<
  Metadata | Controller | ClusterControl | RaftNode.RaftNode | Registered,
  MetadataStartError,
  RaftStore | RaftTransport | ClusterPeers | LocalPeer | Meters
> =>
  Layer.scopedContext(
    Effect.map(make(options), (services) =>
      Context.make(Metadata, services.metadata).pipe(
        Context.add(Controller, services.controller),
        Context.add(ClusterControl, services.control),
        Context.add(RaftNode.RaftNode, services.raft),
        Context.add(Registered, { usable: services.usable })
      )
    )
  )

/** Waits until the node can serve: for what must not start before there is metadata. */
export const ready: Layer.Layer<never, MetadataError, Registered> = Layer.effectDiscard(
  Effect.flatMap(Registered, (registered) => registered.usable)
)

/**
 * `Metadata`, `Controller` and `ClusterControl` of a node that has no part in the Raft group: it keeps the image in memory, follows the
 * log of a member (internal/Following), and passes changes and linearizable reads on.
 */
import type { NodeReport } from "@effectmq/schemas/admin/Cluster"
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { Node } from "@effectmq/schemas/metadata/Node"
import type { Member } from "@effectmq/schemas/raft/Membership"
import { FollowRefused } from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ClusterControl, type ClusterControlService } from "./ClusterControl.js"
import { ClusterPeers, type MetadataPeer } from "./ClusterPeers.js"
import { Controller, type ControllerService } from "./Controller.js"
import { hashToHex } from "./core/EntryChain.js"
import { Replica } from "./core/Replica.js"
import * as Control from "./internal/Control.js"
import { Deadlines } from "./internal/Deadlines.js"
import { Following } from "./internal/Following.js"
import { Forwarder } from "./internal/Forwarder.js"
import { ImageView } from "./internal/ImageView.js"
import { makeImageHash } from "./internal/imageHash.js"
import * as Leaders from "./internal/Leaders.js"
import * as Liveness from "./internal/Liveness.js"
import { notLeader } from "./internal/Outcomes.js"
import { register, usable } from "./internal/Registration.js"
import { sharedRuns } from "./internal/shared.js"
import * as Submitter from "./internal/Submitter.js"
import { watchOwnFencing } from "./internal/watchOwnFencing.js"
import { LocalPeer } from "./LocalPeer.js"
import { Metadata, type MetadataService } from "./Metadata.js"
import type { Waits } from "./Waits.js"
import { Registered } from "./MetadataMember.js"

export interface ObserverMetadataOptions {
  readonly node: Omit<Node, "registeredAtMs" | "storeId">
  /** Members of the cluster, some of them at least; the image tells the others. */
  readonly contacts: ReadonlyArray<Member>
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
const commandsWaitingMax = 20_000
const askMsMax = 1_000

export interface ObserverServices {
  readonly metadata: MetadataService
  readonly controller: ControllerService
  readonly control: ClusterControlService
  readonly usable: Effect.Effect<void, MetadataError>
}

const noMajority = new MetadataUnavailable({
  reason: "no-leader",
  message: "no majority of the cluster's nodes could be reached in time"
})
const closed = new MetadataUnavailable({ reason: "closed", message: "the node is stopping" })
const noMember = new MetadataUnavailable({
  reason: "no-leader",
  message: "this node is an observer: it keeps no log, ask a member"
})

export const make = (
  options: ObserverMetadataOptions
): Effect.Effect<ObserverServices, never, ClusterPeers | LocalPeer | Scope.Scope> =>
  Effect.gen(function* () {
    const peers = yield* ClusterPeers
    const localPeer = yield* LocalPeer
    const scope = yield* Effect.scope
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const fork = (effect: Effect.Effect<void>): void => void runFork(Effect.forkIn(effect, scope))
    const { nodeId } = options.node
    const replica = new Replica()
    const view = new ImageView()
    let problemFound: string | undefined
    let fault: MetadataUnavailable | undefined

    const isMember = (id: number) => view.image().nodesById.get(String(id))?.roles.includes("meta") === true
    /** Those that the image names; what was configured counts where it names none of these. */
    const members = (): ReadonlyArray<Member> => {
      const byId = new Map(options.contacts.map((member) => [member.nodeId, member]))
      for (const node of view.image().nodesById.values()) {
        if (!node.roles.includes("meta") || node.rpcAddress === undefined) byId.delete(node.nodeId)
        else byId.set(node.nodeId, { nodeId: node.nodeId, address: node.rpcAddress })
      }
      byId.delete(nodeId)
      return byId.size > 0 ? [...byId.values()] : options.contacts
    }
    const leaders = Leaders.ofObserver(members)
    const complain = (message: string, ...details: ReadonlyArray<unknown>) => {
      runFork(Effect.logError(message, ...details))
    }
    const following = new Following({
      nodeId,
      replica,
      view,
      leaders,
      peers,
      sources: members,
      complain,
      fail: (problem) => {
        complain(`this node follows the metadata of the cluster no more: ${problem}`)
        problemFound = `follows the metadata no more: ${problem}`
        fault = new MetadataUnavailable({
          reason: "fenced",
          message: `this node takes part no more, restart it when mended: ${problem}`
        })
        view.stop(fault)
      }
    })
    yield* Effect.forkScoped(following.run)
    yield* Effect.addFinalizer(() => Effect.sync(() => view.stop(closed)))

    const forwarder = new Forwarder(peers, leaders)
    yield* Effect.forkScoped(forwarder.run(scope))
    const controller = Submitter.make({
      nodeId,
      view,
      machine: undefined,
      fault: () => fault,
      leaders,
      forwarder,
      deadlines: new Deadlines(fork),
      options: { submitMsMax: options.submitMsMax ?? submitMsMax, commandsWaitingMax }
    })

    /** The first member that answers, asked one after another. */
    const askAny = <A, E>(ask: (peer: MetadataPeer) => Effect.Effect<A, E>): Effect.Effect<A, MetadataUnavailable> =>
      Effect.suspend(() => {
        const first = leaders.now()?.member
        const rest = members().filter((member) => member.nodeId !== first?.nodeId)
        const tries = [...(first === undefined ? [] : [first]), ...rest].map((member) =>
          Effect.mapError(Effect.timeout(ask(peers.at(member)), askMsMax), () => noMajority)
        )
        return tries.reduceRight(
          (later, one) => Effect.orElse(one, () => later),
          Effect.fail(noMajority) as (typeof tries)[number]
        )
      })

    const waitMsMax = options.syncMsMax ?? syncMsMax
    const barrier = Effect.flatMap(
      askAny((peer) => peer.readBarrier),
      ({ version }) => view.whenShown(version)
    ).pipe(Effect.timeoutFail({ duration: waitMsMax, onTimeout: () => noMajority }))
    const metadata: MetadataService = {
      image: () => view.image(),
      sync: Effect.map(
        sharedRuns(
          Effect.suspend(() => (fault === undefined ? barrier : Effect.fail(fault))),
          { fork, deadlines: new Deadlines(fork), waitMsMax, late: noMajority, over: closed }
        ),
        () => view.image()
      ),
      isStale: () => following.isStale,
      fault: () => problemFound,
      changes: view.changes,
      onChange: (listener) => view.onChange(listener)
    }

    const imageHash = makeImageHash()
    const report = Effect.suspend(() => {
      const { image, point, recent } = replica
      const { appliedIndex } = following
      return Effect.map(imageHash(image), (hash): NodeReport => {
        const { leaderId, term, index } = following.leader
        return {
          nodeId,
          role: "observer",
          term,
          leaderId,
          firstIndex: recent.floor.index + 1,
          lastIndex: point.index,
          commitIndex: Math.max(index, appliedIndex),
          appliedIndex,
          snapshotIndex: recent.floor.index,
          imageVersion: image.version,
          chainHash: hashToHex(point.hash),
          imageHash: hash,
          ...(fault === undefined ? { standing: "alive" } : { standing: "fault", fault: fault.message })
        }
      })
    })
    const status = askAny((peer) => peer.status).pipe(
      Effect.map((status) => ({ ...status, askedNodeId: nodeId })),
      Effect.orElse(() =>
        Effect.sync(() => ({
          clusterId: view.image().cluster?.clusterId ?? "",
          askedNodeId: nodeId,
          leaderId: 0,
          term: 0,
          stale: true,
          nodes: []
        }))
      )
    )
    const local: MetadataPeer<never> = {
      submit: ({ commands }) =>
        Effect.sync(() => commands.map(() => notLeader(following.leader.leaderId, following.leader.term))),
      readBarrier: Effect.fail(noMember),
      follow: () => Stream.fail(new FollowRefused({ reason: "behind", message: noMember.message })),
      heartbeat: () => Effect.sync(() => ({ leaderId: following.leader.leaderId, registered: true, fenced: false })),
      identify: () => Effect.succeed({ nodeId, storeId: "", memberIds: [], holdsLog: false, isConfirmed: false }),
      report,
      status,
      changeMembership: () => Effect.fail(noMember),
      transferLeadership: () => Effect.fail(noMember),
      takeSnapshot: Effect.fail(noMember)
    }
    yield* localPeer.install(local)

    const liveness = { ...Liveness.defaultOptions, ...options.liveness }
    const diverged = (problem: string) => following.stop(problem)
    yield* Effect.forkScoped(Liveness.heartbeats({ nodeId, storeId: undefined, replica, leaders, peers, diverged }, liveness))
    yield* watchOwnFencing(nodeId, view)

    const registered = yield* Deferred.make<void, MetadataError>()
    const waitsFor = (what: string | undefined) => options.waits?.set("registration", what)
    yield* Effect.forkScoped(register({ metadata, controller, node: options.node, makesCluster: false, waitsFor }, registered))

    const control = Control.make({
      nodeId,
      local,
      peers,
      leaders,
      fault: () => fault,
      status,
      isMember,
      members,
      metadata,
      controller,
      content: () => replica.content
    })
    // First of all that is closed: nothing new is begun that nobody would answer any more.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        fault ??= closed
      })
    )
    return { metadata, controller, control, usable: usable(metadata, registered) }
  })

export const layer = (
  options: ObserverMetadataOptions
): Layer.Layer<Metadata | Controller | ClusterControl | Registered, never, ClusterPeers | LocalPeer> =>
  Layer.scopedContext(
    Effect.map(make(options), (services) =>
      Context.make(Metadata, services.metadata).pipe(
        Context.add(Controller, services.controller),
        Context.add(ClusterControl, services.control),
        Context.add(Registered, { usable: services.usable })
      )
    )
  )

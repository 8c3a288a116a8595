/**
 * Calls between the nodes of one process, for tests: a hub that knows every node's answers. Requests and answers pass through their
 * encoded forms, as over the network.
 */
import {
  ChangeMembership,
  Follow,
  Heartbeat,
  Identify,
  ReadBarrier,
  Report,
  Status,
  Submit,
  TakeSnapshot,
  TransferLeadership
} from "@effectmq/schemas/rpc/MetadataRpcs"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ClusterPeers, type ClusterPeersService, type MetadataPeer, PeerUnavailable } from "./ClusterPeers.js"
import { LocalPeer } from "./LocalPeer.js"

const unreachable = (from: number, to: number) =>
  new PeerUnavailable({ reason: "unreachable", message: `node ${to} cannot be reached from node ${from}` })
const broken = (from: number, to: number) =>
  new PeerUnavailable({ reason: "broken", message: `the connection from node ${from} to node ${to} broke` })

/** A value as the other side reads it. */
const carried = <A, I>(schema: Schema.Schema<A, I>, value: A): A =>
  Schema.decodeSync(schema)(structuredClone(Schema.encodeSync(schema)(value)))

export class MemoryClusterHub {
  /** Whether what goes from one node to another is lost: a call does not arrive, or its answer does not. */
  cuts: (from: number, to: number) => boolean = () => false
  private readonly peersByNode = new Map<number, MetadataPeer<never>>()

  add(nodeId: number, peer: MetadataPeer<never>): () => void {
    this.peersByNode.set(nodeId, peer)
    return () => {
      if (this.peersByNode.get(nodeId) === peer) this.peersByNode.delete(nodeId)
    }
  }

  /** A call that is cut off on its way back never ends: its caller waits no longer than it likes. */
  private call<A, E, X, XI, Y, YI, F, FI>(
    ends: { readonly from: number; readonly to: number },
    rpc: {
      readonly payloadSchema: Schema.Schema<X, XI>
      readonly successSchema: Schema.Schema<Y, YI>
      readonly errorSchema: Schema.Schema<F, FI>
    },
    payload: X,
    run: (peer: MetadataPeer<never>, payload: X) => Effect.Effect<A & Y, E & F>
  ): Effect.Effect<Y, F | PeerUnavailable> {
    return Effect.suspend(() => {
      const { from, to } = ends
      const peer = this.peersByNode.get(to)
      if (peer === undefined || this.cuts(from, to)) return Effect.fail(unreachable(from, to))
      return run(peer, carried(rpc.payloadSchema, payload)).pipe(
        Effect.mapError((error) => carried(rpc.errorSchema, error)),
        Effect.flatMap((answer) => {
          if (this.peersByNode.get(to) !== peer) return Effect.fail(broken(from, to))
          return this.cuts(to, from) ? Effect.never : Effect.succeed(carried(rpc.successSchema, answer))
        })
      )
    })
  }

  peers(from: number): ClusterPeersService {
    return {
      at: ({ nodeId: to }) => {
        const ends = { from, to }
        return {
          submit: (request) => this.call(ends, Submit, request, (peer, payload) => peer.submit(payload)),
          readBarrier: this.call(ends, ReadBarrier, undefined, (peer) => peer.readBarrier),
          heartbeat: (request) => this.call(ends, Heartbeat, request, (peer, payload) => peer.heartbeat(payload)),
          identify: (request) => this.call(ends, Identify, request, (peer, payload) => peer.identify(payload)),
          report: this.call(ends, Report, undefined, (peer) => peer.report),
          status: this.call(ends, Status, undefined, (peer) => peer.status),
          changeMembership: (request) =>
            this.call(ends, ChangeMembership, request, (peer, payload) => peer.changeMembership(payload)),
          transferLeadership: (request) =>
            this.call(ends, TransferLeadership, request, (peer, payload) => peer.transferLeadership(payload)),
          takeSnapshot: this.call(ends, TakeSnapshot, undefined, (peer) => peer.takeSnapshot),
          follow: (request) =>
            Stream.suspend(() => {
              const peer = this.peersByNode.get(to)
              if (peer === undefined || this.cuts(from, to)) return Stream.fail(unreachable(from, to))
              return peer
                .follow(carried(Follow.payloadSchema, request))
                .pipe(
                  Stream.mapEffect((item) =>
                    this.peersByNode.get(to) !== peer || this.cuts(to, from)
                      ? Effect.fail(broken(from, to))
                      : Effect.succeed(carried(Follow.successSchema.success, item))
                  )
                )
            })
        }
      }
    }
  }

  layer(nodeId: number): Layer.Layer<ClusterPeers, never, LocalPeer> {
    return Layer.scoped(
      ClusterPeers,
      Effect.gen(this, function* () {
        const { peer } = yield* LocalPeer
        yield* Effect.acquireRelease(
          Effect.sync(() => this.add(nodeId, peer)),
          (remove) => Effect.sync(remove)
        )
        return this.peers(nodeId)
      })
    )
  }
}

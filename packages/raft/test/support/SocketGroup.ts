/** Members of one Raft group as in production: RPC over sockets, each behind a wire that can be frozen. Only their stores are in memory. */
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { NodeTransport } from "@effectmq/network/NodeTransport"
import * as SocketNodeTransport from "@effectmq/network/SocketNodeTransport"
import type { Member } from "@effectmq/schemas/raft/Membership"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { RaftNodeOptions } from "../../src/RaftNodeOptions.js"
import type { RaftTransport } from "../../src/RaftTransport.js"
import * as RpcRaftTransport from "../../src/RpcRaftTransport.js"
import { Group } from "./Group.js"
import { Wire } from "./Wire.js"

export class SocketGroup extends Group {
  private constructor(
    firstIds: ReadonlyArray<number>,
    private readonly wires: ReadonlyMap<number, Wire>,
    options: Partial<RaftNodeOptions>
  ) {
    super(firstIds, options)
  }

  /** @param allIds members that may be started, now or later */
  static async open(
    firstIds: ReadonlyArray<number>,
    allIds: ReadonlyArray<number> = firstIds,
    options: Partial<RaftNodeOptions> = {}
  ): Promise<SocketGroup> {
    const wires = await Promise.all(allIds.map(async (nodeId) => [nodeId, await Wire.open()] as const))
    return new SocketGroup(firstIds, new Map(wires), options)
  }

  wire(nodeId: number): Wire {
    const wire = this.wires.get(nodeId)
    if (wire === undefined) throw new Error(`node ${nodeId} has no wire`)
    return wire
  }

  override memberOf(nodeId: number): Member {
    return { nodeId, address: this.wire(nodeId).address }
  }

  override transport(nodeId: number): Layer.Layer<RaftTransport, unknown> {
    const wire = this.wire(nodeId)
    const heard = Layer.scopedDiscard(
      Effect.flatMap(NodeTransport, ({ port }) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            wire.target = port
          }),
          () =>
            Effect.sync(() => {
              wire.target = undefined
            })
        )
      )
    )
    return Layer.merge(RpcRaftTransport.layer({ callTimeoutMs: 300, address: wire.address }), heard).pipe(
      Layer.provide(
        SocketNodeTransport.layer({
          nodeId,
          secret: "a secret of the tests",
          listen: { host: "127.0.0.1", port: 0 },
          idleTimeoutMs: 500,
          handshakeTimeoutMs: 500
        })
      ),
      Layer.provide(PrometheusMeters.layerMemory)
    )
  }

  override async stopAll(): Promise<void> {
    await super.stopAll()
    for (const wire of this.wires.values()) wire.close()
  }
}

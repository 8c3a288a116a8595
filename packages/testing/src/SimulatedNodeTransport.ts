/**
 * The twin of the transport between nodes over a `SimulatedNetwork`: links that carry frames in order and break as TCP connections do.
 *
 * Invariants
 * - What the network loses comes late, never twice and never out of order. What was sent on a link that ended may have arrived or not.
 * - A link ends when one side closes it, when nothing is heard of the other for six seconds, or when it is broken on purpose. A
 *   process that is killed has its links ended by its system (`reset`); a machine without power says nothing (`silence`), and the others
 *   find out by themselves, or from its answer once it is back.
 */
import { NodeTransport, type NodeTransportService } from "@effectmq/network/NodeTransport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type DialParts, dial } from "./internal/SimulatedDial.js"
import { type Endpoint, idleTimeoutMs, lives } from "./internal/SimulatedLink.js"
import type { SimulatedNetwork } from "./SimulatedNetwork.js"
import type { VirtualProcess } from "./VirtualProcess.js"
import type { VirtualWorld } from "./VirtualWorld.js"

const stopping = "the node stops"

/** The nodes that can reach each other, by their addresses. */
export class SimulatedNodes {
  private readonly endpointsByAddress = new Map<string, Endpoint>()
  private readonly parts: DialParts

  constructor(world: VirtualWorld, network: SimulatedNetwork) {
    this.parts = { world, network, at: (address) => this.endpointsByAddress.get(address) }
  }

  /** A node's transport for one start of its process, until the scope closes. */
  layer(process: VirtualProcess, nodeId: number, address = `node-${nodeId}:1`): Layer.Layer<NodeTransport> {
    return Layer.scoped(
      NodeTransport,
      Effect.acquireRelease(
        Effect.sync(() => {
          const { incarnation } = process
          const acceptors = new Map()
          const endpoint: Endpoint = { nodeId, address, process, incarnation, acceptors, links: new Set(), isSilent: false }
          this.endpointsByAddress.set(address, endpoint)
          const beats = setInterval(() => {
            for (const link of [...endpoint.links]) link.beat()
          }, idleTimeoutMs / 4)
          return { endpoint, beats }
        }),
        ({ endpoint, beats }) =>
          Effect.sync(() => {
            clearInterval(beats)
            if (this.endpointsByAddress.get(address) === endpoint) this.endpointsByAddress.delete(address)
            for (const link of [...endpoint.links]) link.close(stopping)
          })
      ).pipe(Effect.map(({ endpoint }) => this.service(endpoint)))
    )
  }

  /** To be called when a process was killed: whether its system still tells the others. */
  died(process: VirtualProcess, how: "reset" | "silence"): void {
    for (const endpoint of this.endpointsByAddress.values()) {
      if (endpoint.process !== process || lives(endpoint)) continue
      endpoint.isSilent = how === "silence"
      for (const link of endpoint.links) link.died(how === "reset")
      endpoint.links.clear()
    }
  }

  /** Ends the links between two nodes at once, as something on the way may do. */
  breakLinks(one: VirtualProcess, other: VirtualProcess): void {
    for (const endpoint of this.endpointsByAddress.values()) {
      if (endpoint.process !== one && endpoint.process !== other) continue
      const beyond = endpoint.process === one ? other : one
      for (const link of endpoint.links) {
        if (this.endpointsByAddress.get(link.peerAddress)?.process === beyond) link.break()
      }
    }
  }

  private service(endpoint: Endpoint): NodeTransportService {
    const { nodeId, address, acceptors } = endpoint
    const colon = address.lastIndexOf(":")
    return {
      nodeId,
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
      accept: (channel, acceptor) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            if (acceptors.has(channel)) throw new Error(`channel ${channel} is taken`)
            acceptors.set(channel, acceptor)
          }),
          () =>
            Effect.sync(() => {
              acceptors.delete(channel)
              for (const link of [...endpoint.links]) if (link.hosts === channel) link.close(stopping)
            })
        ),
      connect: (target, channel, acceptor) => dial(this.parts, endpoint, target, channel, acceptor)
    }
  }
}

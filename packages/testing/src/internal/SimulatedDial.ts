/**
 * Makes a link from one simulated node to another: a hello there, a welcome back, both as reliable as the link will be.
 */
import { type NodeLink, type NodeLinkAcceptor, type NodeTarget, NodeUnreachable } from "@effectmq/network/NodeTransport"
import * as Effect from "effect/Effect"
import type { SimulatedNetwork } from "../SimulatedNetwork.js"
import type { VirtualWorld } from "../VirtualWorld.js"
import { type Endpoint, lives, SimulatedLink, signOfLife } from "./SimulatedLink.js"
import { SimulatedWire } from "./SimulatedWire.js"

const connectTimeoutMs = 3_000
const answerBytes = 100

export interface DialParts {
  readonly world: VirtualWorld
  readonly network: SimulatedNetwork
  /** Who hears at an address now. */
  readonly at: (address: string) => Endpoint | undefined
}

class Dial {
  private near: SimulatedLink | undefined
  private far: SimulatedLink | undefined
  private readonly there: SimulatedWire
  private back: SimulatedWire | undefined
  private isOver = false
  private readonly timer: NodeJS.Timeout

  constructor(
    private readonly parts: DialParts,
    private readonly from: Endpoint,
    private readonly to: Endpoint,
    private readonly target: NodeTarget,
    private readonly channel: string,
    private readonly acceptor: NodeLinkAcceptor,
    private readonly done: (link: NodeLink | NodeUnreachable) => void
  ) {
    this.timer = setTimeout(() => this.fail("the handshake took too long"), connectTimeoutMs)
    const { world, network } = parts
    this.there = new SimulatedWire({
      world,
      network,
      from: from.process,
      to: to.process,
      isKnown: () => this.far === undefined || this.isKnownTo(this.far, () => this.near),
      arrived: (segment) => {
        if (this.far === undefined) return this.hello()
        this.far.take(segment)
        this.near?.arrived()
      }
    })
    this.there.send({ frame: signOfLife })
  }

  giveUp(): void {
    if (this.isOver) return
    this.isOver = true
    clearTimeout(this.timer)
    this.there.send({ end: "the other node closed it" })
  }

  private fail(message: string): void {
    if (this.isOver) return
    this.giveUp()
    this.done(new NodeUnreachable({ target: this.target, message }))
  }

  /** Where another process has taken the place of the one that had this end, its system says that there is no such link. */
  private isKnownTo(end: SimulatedLink, other: () => SimulatedLink | undefined): boolean {
    if (lives(end.home)) return true
    const process = end.home.process
    const beyond = end === this.far ? this.from.process : this.to.process
    this.parts.network.transmit(process, beyond, answerBytes, () => other()?.end("the connection broke"))
    return false
  }

  // --- in the process that is called

  private refuse(message: string): void {
    const { network } = this.parts
    network.transmit(this.to.process, this.from.process, answerBytes, () => this.fail(message))
  }

  private hello(): void {
    const { from, target, channel } = this
    const { world, network, at } = this.parts
    const host = at(target.address)
    if (host === undefined || !lives(host)) return this.refuse("the connection was refused")
    if (host.nodeId !== target.nodeId) return this.refuse(`node ${host.nodeId} answers there`)
    const accepts = host.acceptors.get(channel)
    if (accepts === undefined) return this.refuse(`it does not speak ${channel}`)
    const back = new SimulatedWire({
      world,
      network,
      from: host.process,
      to: from.process,
      isKnown: () => this.near === undefined || this.isKnownTo(this.near, () => this.far),
      arrived: (segment) => {
        if (this.near === undefined) return this.welcome()
        this.near.take(segment)
        this.far?.arrived()
      }
    })
    this.back = back
    this.far = new SimulatedLink(host, channel, from.nodeId, from.address, back)
    back.send({ frame: signOfLife })
    this.far.handler = accepts(this.far)
  }

  // --- in the process that calls

  private welcome(): void {
    if (this.isOver || !lives(this.from)) return this.back?.drop()
    this.isOver = true
    clearTimeout(this.timer)
    const { from, target } = this
    this.near = new SimulatedLink(from, undefined, target.nodeId, target.address, this.there)
    this.near.handler = this.acceptor(this.near)
    this.done(this.near)
  }
}

export const dial = (
  parts: DialParts,
  from: Endpoint,
  target: NodeTarget,
  channel: string,
  acceptor: NodeLinkAcceptor
): Effect.Effect<NodeLink, NodeUnreachable> =>
  Effect.async<NodeLink, NodeUnreachable>((resume) => {
    const to = parts.at(target.address)
    const failed = (message: string) => Effect.fail(new NodeUnreachable({ target, message }))
    const answer = (message: string, delayMs: number): Effect.Effect<void> => {
      const timer = setTimeout(() => resume(failed(message)), delayMs)
      return Effect.sync(() => clearTimeout(timer))
    }
    if (to === undefined) return answer("nobody answers", 1)
    if (!to.process.alive) {
      // The system of a machine says so, where it can.
      const isHeard =
        !to.isSilent && !parts.network.isCut(from.process, to.process) && !parts.network.isCut(to.process, from.process)
      return isHeard ? answer("the connection was refused", 1) : answer("the handshake took too long", connectTimeoutMs)
    }
    const dialed = new Dial(parts, from, to, target, channel, acceptor, (outcome) =>
      resume(outcome instanceof NodeUnreachable ? Effect.fail(outcome) : Effect.succeed(outcome))
    )
    return Effect.sync(() => dialed.giveUp())
  })

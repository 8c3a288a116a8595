/**
 * One way of a link between two simulated nodes, as TCP carries bytes: in order, each once, and late where the network lost something
 * that had to be sent again. What the network doubles or lets overtake is put right here.
 *
 * The systems on both sides do this, not their processes: it goes on while a process is paused.
 */
import type { SimulatedNetwork } from "../SimulatedNetwork.js"
import type { VirtualProcess } from "../VirtualProcess.js"
import type { VirtualWorld } from "../VirtualWorld.js"

/** What travels: a frame (one without bytes is a sign of life), or the end and why. */
export type Segment = { readonly frame: Uint8Array } | { readonly end: string }

interface Sent {
  readonly number: number
  readonly segment: Segment
  readonly bytes: number
  isLost: boolean
}

/** Before what was lost is sent again; twice as long while it is lost again. */
const againMsMin = 200
const againMsMax = 2_000
const headerBytes = 60
/** Sent again in one go. */
const againSegmentsMax = 16

export interface WireEnds {
  readonly world: VirtualWorld
  readonly network: SimulatedNetwork
  readonly from: VirtualProcess
  readonly to: VirtualProcess
  /** In the process `to`; once for each segment, in order. */
  readonly arrived: (segment: Segment) => void
  /** In the process `to`: false where nobody there knows of this link any more, which ends the wire. */
  readonly isKnown: () => boolean
}

export class SimulatedWire {
  /** Sent and not arrived, by rising number. */
  private underWay: Array<Sent> = []
  private nextNumber = 1
  private nextArriving = 1
  private readonly early = new Map<number, Sent>()
  private againMs = againMsMin
  private waiting = false
  private gone = false
  bytesUnderWay = 0

  constructor(private readonly ends: WireEnds) {}

  send(segment: Segment): void {
    if (this.gone) return
    const bytes = "frame" in segment ? segment.frame.length : 0
    const sent = { number: this.nextNumber++, segment, bytes, isLost: false }
    this.underWay.push(sent)
    this.bytesUnderWay += bytes
    this.transmit(sent)
  }

  /** Nothing arrives any more. */
  drop(): void {
    this.gone = true
    this.underWay = []
    this.early.clear()
  }

  private transmit(sent: Sent): void {
    const { network, from, to } = this.ends
    sent.isLost = false
    const lost = () => {
      sent.isLost = true
      this.sendAgainLater()
    }
    network.transmit(from, to, sent.bytes + headerBytes, () => this.arrive(sent), lost)
  }

  private sendAgainLater(): void {
    if (this.waiting || this.gone) return
    this.waiting = true
    this.ends.world.root.post(() => {
      this.waiting = false
      this.againMs = Math.min(againMsMax, 2 * this.againMs)
      const lost = this.underWay.filter(({ isLost }) => isLost)
      for (const sent of lost.slice(0, againSegmentsMax)) this.transmit(sent)
      if (lost.length > againSegmentsMax) this.sendAgainLater()
    }, this.againMs)
  }

  private arrive(sent: Sent): void {
    if (this.gone || sent.number < this.nextArriving) return
    if (!this.ends.isKnown()) return this.drop()
    this.againMs = againMsMin
    this.early.set(sent.number, sent)
    for (;;) {
      const next = this.early.get(this.nextArriving)
      if (next === undefined) return
      this.early.delete(this.nextArriving++)
      this.underWay.shift()
      this.bytesUnderWay -= next.bytes
      this.ends.arrived(next.segment)
      if (this.gone) return
    }
  }
}

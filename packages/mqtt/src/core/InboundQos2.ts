/**
 * The QoS 2 packet identifiers a client has published under and not yet released [MQTT-4.3.3-8 to -12].
 *
 * An identifier is `pending` from PUBLISH until the message is where it must be (log, or taken for live subscribers), then
 * `received` until PUBREL; it is `settled` once a restart would know that: then live subscribers get the message, and PUBREC leaves. Each use of an identifier has a number that never returns while the session lives; with it a
 * restart tells a message that was released from one that was not: whatever the log holds of this session with a use
 * number that the last durable progress knows neither as pending nor as received is released when it is below
 * `nextUse` of that progress, and received when it is not.
 *
 * Invariant: at most the receive maximum of identifiers; the caller checks `size` before `begin`.
 */
import { WaitingOrder } from "@effectmq/messaging/WaitingOrder"

export interface StoredUse {
  readonly packetId: number
  readonly use: number
  readonly received: boolean
}

export interface InboundUse extends StoredUse {
  received: boolean
  settled: boolean
  /** Lets live subscribers have the message, or not. */
  deliver?: ((isReceived: boolean) => void) | undefined
  /** A later connection sent the same PUBLISH while it was pending, and waits for the outcome. */
  whenReceived?: ((reasonCode: number) => void) | undefined
}

export class InboundQos2 {
  private readonly usesByPacketId = new Map<number, InboundUse>()
  /** `nextUse` of the progress this was restored from: what later uses are judged by while the log is folded in. */
  private restoredNext = 1
  private next = 1
  /** Messages that live subscribers are to get, in the order in which they came. */
  private readonly deliveries = new WaitingOrder<() => void>((deliver) => deliver())

  get size(): number {
    return this.usesByPacketId.size
  }

  /** The number that the next use will have. */
  get nextUse(): number {
    return this.next
  }

  get(packetId: number): InboundUse | undefined {
    return this.usesByPacketId.get(packetId)
  }

  /** A PUBLISH with an identifier that is not in use. */
  begin(packetId: number): InboundUse {
    const use: InboundUse = { packetId, use: this.next++, received: false, settled: false }
    this.usesByPacketId.set(packetId, use)
    return use
  }

  /** Live subscribers get the message of a use once it is settled, and after those that came before. */
  deliverLater(packetId: number, deliver: () => void): void {
    const use = this.usesByPacketId.get(packetId)
    if (use !== undefined) use.deliver = this.deliveries.hold(deliver)
  }

  /** PUBREL, or a PUBLISH that was refused: the identifier is free again. */
  release(packetId: number): boolean {
    return this.usesByPacketId.delete(packetId)
  }

  /** Puts back what the last durable progress knew; `fold` and `settle` follow. */
  restore(nextUse: number, uses: Iterable<StoredUse>): void {
    this.restoredNext = nextUse
    this.next = nextUse
    for (const { packetId, use, received } of uses)
      this.usesByPacketId.set(packetId, { packetId, use, received, settled: received })
  }

  /** The log holds a message of this use. Uses of one session may come in any order, because they stand in several sources. */
  fold(packetId: number, use: number): void {
    const known = this.usesByPacketId.get(packetId)
    if (known !== undefined && known.use === use) {
      known.received = true
      known.settled = true
    } else if (use >= this.restoredNext) {
      this.next = Math.max(this.next, use + 1)
      if (known === undefined || known.use < use)
        this.usesByPacketId.set(packetId, { packetId, use, received: true, settled: true })
    }
  }

  /** The log has been read: what is still pending never reached it, so the client sends it again. */
  settle(): void {
    for (const use of this.usesByPacketId.values()) {
      if (!use.received) this.usesByPacketId.delete(use.packetId)
    }
  }

  values(): IterableIterator<InboundUse> {
    return this.usesByPacketId.values()
  }
}

/**
 * One message on its way to one client: waiting in a queue, or in flight under a packet identifier.
 */
import type { Message, QoS } from "@effectmq/messaging/Message"
import type { SharedGroup } from "@effectmq/messaging/SharedGroup"

/**
 * - `waiting`: has no packet identifier. `gated`: has one, and what must be durable before PUBLISH goes out is not (`awaits`).
 * - `unsent`: has one, and PUBLISH is to be sent (again). `sent`: PUBLISH is out.
 * - `releasing`: PUBREC came, PUBREL waits until that is durable. `released`: PUBREL is out.
 */
export type DeliveryState = "waiting" | "gated" | "unsent" | "sent" | "releasing" | "released"

/** `source` of a message that is nowhere stored. */
export const notStored = -1
/** `source` of a retained message, which its topic names. */
export const retainedSource = -2

/** What a gated delivery waits for: the session's progress, and what its shared group knows of it. */
export const progressGate = 1
export const handOutGate = 2

export class Delivery {
  packetId = 0
  /** Rises with every packet identifier given: the order in which messages are sent again [MQTT-4.6.0-1]. */
  sequence = 0
  state: DeliveryState = "waiting"
  /** PUBLISH was sent on an earlier connection: it is a duplicate now [MQTT-3.3.1-1]. */
  dup = false
  /** PUBLISH was sent on this connection, so it counts against the client's receive maximum. */
  counted = false
  /** Gates that are closed. */
  awaits = 0
  /** Number among all that shared groups have given to the session at QoS 2; 0 where it is none of them. */
  handOut = 0

  constructor(
    /** undefined for a message that is no longer stored: only its release is left to do. */
    public message: Message | undefined,
    readonly qos: QoS,
    readonly retain: boolean,
    readonly subscriptionIds: ReadonlyArray<number> | undefined,
    readonly group: SharedGroup | undefined,
    /** Source of the tenant's log, `notStored` or `retainedSource`. */
    readonly source: number,
    readonly offset: number
  ) {}

  /** What the message costs while it waits. */
  get sizeBytes(): number {
    return this.message?.sizeBytes ?? 0
  }

  /** It waits: what the message came in is let go. */
  compact(): void {
    this.message = this.message?.compact()
  }
}

/**
 * One message on its way to one client: waiting in a queue, or in flight under a packet identifier.
 */
import type { Message, QoS } from "@effectmq/messaging/Message"
import type { SharedGroup } from "@effectmq/messaging/SharedGroup"

/**
 * - `waiting`: has no packet identifier. `assigned`: has one that must be durable before it is sent.
 * - `sent`: PUBLISH is out. `releasing`: PUBREC came, PUBREL waits until that is durable. `released`: PUBREL is out.
 */
export type DeliveryState = "waiting" | "assigned" | "sent" | "releasing" | "released"

/** `source` of a message that is not in the log. */
export const notLogged = -1

export class Delivery {
  packetId = 0
  /** Rises with every assignment of a packet identifier: the order in which messages are sent again [MQTT-4.6.0-1]. */
  sequence = 0
  state: DeliveryState = "waiting"

  constructor(
    /** undefined for a message that was removed from the log after its PUBREC came: only its release is left to do. */
    readonly message: Message | undefined,
    readonly qos: QoS,
    readonly retain: boolean,
    readonly subscriptionIds: ReadonlyArray<number> | undefined,
    readonly group: SharedGroup | undefined,
    /** Source of the tenant's log, or `notLogged`. */
    readonly source: number,
    readonly offset: number
  ) {}
}

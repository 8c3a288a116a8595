/**
 * A will on its way [MQTT5 3.1.2.5]. That of a persistent session, at QoS 1 or 2, is stored until the broker has taken it over, so
 * that a crash can neither lose it nor, at QoS 2, publish it twice: in the log its origin says that it was published; who gets it
 * without the log gets it when it is no longer stored.
 */
import { Message } from "@effectmq/messaging/Message"
import type { Acknowledger } from "@effectmq/messaging/Publish"
import type { StorageError } from "@effectmq/storage/StorageError"
import type { Will } from "./codec/Packets.js"
import type { SessionContext } from "./core/SessionPorts.js"

const retryMs = 1000

export class WillPublication implements Acknowledger {
  private deliver: (() => void) | undefined

  constructor(
    private readonly context: SessionContext,
    private readonly clientId: string,
    private readonly will: Will,
    /** undefined where it is not stored. */
    private readonly origin: string | undefined
  ) {}

  publish(): void {
    const { topic, payload, qos, retain, properties, messageExpirySeconds } = this.will
    const nowMs = this.context.nowMs()
    const expiresAtMs = messageExpirySeconds === undefined ? 0 : nowMs + messageExpirySeconds * 1000
    const { clientId, origin } = this
    this.deliver = undefined
    this.context.space.publish(
      new Message(topic, payload, 0, payload.length, qos, retain, properties, nowMs, expiresAtMs, clientId, origin),
      this
    )
  }

  deliverLater(_token: number, deliver: () => void): void {
    this.deliver = deliver
  }

  acknowledged(_token: number, error: StorageError | undefined, _matched: number, source: number): void {
    const { context, clientId, origin, deliver, will } = this
    if (origin === undefined) return
    // In the log it has reached whoever must get it once: what else failed is not worth doing that again.
    const isLogged = source >= 0 && will.qos === 2
    if (error !== undefined && !isLogged) {
      context.space.time.after(retryMs, () => this.publish())
      return
    }
    context.journal.willChanged(clientId, origin, undefined, isLogged ? undefined : deliver)
    if (isLogged) deliver?.()
  }
}

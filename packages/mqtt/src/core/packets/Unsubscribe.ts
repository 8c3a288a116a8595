/**
 * UNSUBSCRIBE and UNSUBACK [MQTT5 3.10, 3.11].
 */
import { encodeUnsuback } from "../../codec/Suback.js"
import type { UnsubscribePacket } from "../../codec/Packets.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"
import type { Session } from "../Session.js"

export const handleUnsubscribe = (machine: ConnectionMachine, packet: UnsubscribePacket): void => {
  const session = machine.session as Session
  machine.context.counters.unsubscribes++
  let changed = false
  const reasonCodes = packet.filters.map((text) => {
    if (!session.unsubscribe(text)) return ReasonCode.noSubscriptionExisted
    changed = true
    machine.admission?.tenant.registry.events.unsubscribed(session, text)
    return ReasonCode.success
  })
  // Answered also where nothing was subscribed [MQTT-3.10.4-5].
  const answer = () => {
    if (machine.state !== "connected") return
    encodeUnsuback(machine.connection, machine.version, packet.packetId, reasonCodes, undefined, machine.packetSizeMax)
  }
  if (session.durable && changed) session.afterWrite(answer)
  else answer()
}

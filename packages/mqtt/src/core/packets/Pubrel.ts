/**
 * PUBREL from a client: the identifier of a QoS 2 publish is free again [MQTT5 3.6], [MQTT-4.3.3-11].
 */
import { encodePubcomp } from "../../codec/Acknowledgement.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"

export const handlePubrel = (machine: ConnectionMachine, packetId: number): void => {
  const { session } = machine
  if (session === undefined) return
  machine.context.counters.acknowledgementsReceived++
  machine.context.counters.acknowledgementsSent++
  const use = session.inboundCount === 0 ? undefined : session.inbound.get(packetId)
  if (use === undefined) {
    // Unknown, or released before the connection broke: complete all the same [MQTT-4.3.3-12].
    encodePubcomp(machine.connection, machine.version, packetId, ReasonCode.packetIdentifierNotFound)
    return
  }
  if (!use.settled) {
    machine.protocolError("PUBREL before PUBREC")
    return
  }
  session.inbound.release(packetId)
  if (!session.durable) {
    encodePubcomp(machine.connection, machine.version, packetId, ReasonCode.success)
    return
  }
  session.whenDurable(() => {
    if (machine.state === "connected") encodePubcomp(machine.connection, machine.version, packetId, ReasonCode.success)
  })
}

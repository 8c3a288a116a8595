/**
 * PUBREC from a client: a QoS 2 message has arrived; PUBREL answers [MQTT5 3.5], [MQTT-4.3.3-4].
 */
import { encodePubrel } from "../../codec/Acknowledgement.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"

export const handlePubrec = (machine: ConnectionMachine, packetId: number, reasonCode: number): void => {
  machine.context.counters.acknowledgementsReceived++
  const result = machine.session?.outbound.pubrec(packetId, reasonCode, machine.context.receivedAtMs)
  if (result === "protocol-error") {
    machine.protocolError("PUBREC for a message of QoS 1")
  } else if (result === "unknown" && reasonCode < 0x80) {
    encodePubrel(machine.connection, machine.version, packetId, ReasonCode.packetIdentifierNotFound)
  }
}

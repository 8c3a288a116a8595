/**
 * PUBCOMP from a client: a QoS 2 delivery is complete [MQTT5 3.7].
 */
import type { ConnectionMachine } from "../ConnectionMachine.js"

export const handlePubcomp = (machine: ConnectionMachine, packetId: number): void => {
  machine.context.counters.acknowledgementsReceived++
  const result = machine.session?.outbound.pubcomp(packetId, machine.context.receivedAtMs)
  if (result === "protocol-error") machine.protocolError("PUBCOMP for a message of QoS 1")
}

/**
 * PUBACK from a client: a QoS 1 message has arrived, or was refused [MQTT5 3.4].
 */
import type { ConnectionMachine } from "../ConnectionMachine.js"

export const handlePuback = (machine: ConnectionMachine, packetId: number): void => {
  machine.context.counters.acknowledgementsReceived++
  const result = machine.session?.outbound.puback(packetId, machine.context.receivedAtMs)
  // An unknown identifier is ignored: it may be left over from before a restart.
  if (result === "protocol-error") machine.protocolError("PUBACK for a message of QoS 2")
}

/**
 * DISCONNECT from a client [MQTT5 3.14].
 */
import type { DisconnectPacket } from "../../codec/Packets.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"

export const handleDisconnect = (machine: ConnectionMachine, packet: DisconnectPacket): void => {
  if (machine.state === "closing") return
  const { reasonCode, sessionExpirySeconds } = packet
  let expirySeconds: number | undefined
  if (sessionExpirySeconds !== undefined) {
    // A session that was to end with its connection cannot be kept after all [MQTT-3.14.2-2].
    if (sessionExpirySeconds > 0 && machine.connectExpirySeconds === 0) {
      machine.protocolError("DISCONNECT sets a session expiry where CONNECT gave none")
      return
    }
    expirySeconds = Math.min(sessionExpirySeconds, machine.options.sessionExpirySecondsMax)
  }
  // The will goes with a normal goodbye, and only with that [MQTT-3.14.4-3].
  const normal = reasonCode === ReasonCode.normalDisconnection
  machine.endedBy = normal ? "normal" : "with-will"
  machine.left(machine.endedBy, !normal, expirySeconds)
  machine.close("peer-closed")
}

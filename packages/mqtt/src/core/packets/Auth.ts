/**
 * AUTH [MQTT5 3.15, 4.12]: enhanced authentication before CONNACK, and again later.
 */
import { encodeAuth } from "../../codec/Auth.js"
import type { Principal } from "@effectmq/security/Authenticator"
import type { AuthPacket } from "../../codec/Packets.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { LoginAnswer } from "../ConnectionContext.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"
import { continueLogin } from "./Connect.js"

const nothing = Buffer.alloc(0)

export const handleAuth = (machine: ConnectionMachine, packet: AuthPacket): void => {
  if (machine.state === "closing") return
  // Only where CONNECT named a method [MQTT-4.12.0-6], and that one [MQTT-4.12.0-5].
  if (machine.authenticationMethod === undefined || packet.authenticationMethod !== machine.authenticationMethod) {
    machine.protocolError("AUTH with a method that CONNECT did not name")
    return
  }
  const data = packet.authenticationData ?? nothing
  if (machine.state === "authenticating") {
    // [MQTT-4.12.0-3]
    if (packet.reasonCode !== ReasonCode.continueAuthentication) machine.protocolError("AUTH that does not continue")
    else continueLogin(machine, data)
    return
  }
  if (packet.reasonCode === ReasonCode.reAuthenticate) reAuthenticate(machine, data)
  else if (machine.exchange === undefined || machine.exchangeBusy) machine.protocolError("AUTH that continues nothing")
  else step(machine, data)
}

/** [MQTT-4.12.1-1]: other packets go on meanwhile, under the old identity [MQTT-4.12.1-2]. */
const reAuthenticate = (machine: ConnectionMachine, data: Uint8Array): void => {
  if (machine.exchange !== undefined || machine.exchangeBusy) {
    machine.protocolError("AUTH while authentication goes on")
    return
  }
  machine.exchangeBusy = true
  const credentials = {
    tenant: machine.admission?.principal.tenant ?? machine.options.tenant,
    clientId: machine.clientId,
    username: undefined,
    password: undefined,
    certificateCommonName: machine.connection.peerCertificate?.commonName,
    address: machine.connection.remoteAddress
  }
  machine.context.login.reauthenticate(machine.authenticationMethod as string, credentials, (exchange) => {
    if (machine.state !== "connected") return
    if ("reasonCode" in exchange) {
      machine.end(exchange.reasonCode, exchange.message)
      return
    }
    machine.exchange = exchange
    step(machine, data)
  })
}

const step = (machine: ConnectionMachine, data: Uint8Array): void => {
  machine.exchangeBusy = true
  machine.exchange?.step(data, (answer) => {
    machine.exchangeBusy = false
    if (machine.state === "connected") answered(machine, answer)
  })
}

const answered = (machine: ConnectionMachine, answer: LoginAnswer): void => {
  const authenticationMethod = machine.authenticationMethod as string
  if (answer.kind === "refused") {
    machine.end(answer.refusal.reasonCode, answer.refusal.message)
    return
  }
  if (answer.kind === "admitted") {
    machine.exchange = undefined
    const { admission } = machine
    // It is the same client, or nothing of it would hold any more.
    const isSame = ({ tenant, user }: Principal): boolean =>
      tenant === admission?.principal.tenant && user === admission.principal.user
    if (admission === undefined || !isSame(answer.admission.principal)) {
      machine.end(ReasonCode.notAuthorized, "re-authentication by another user")
      return
    }
    machine.admission = { ...admission, permissions: answer.admission.permissions }
  }
  const reasonCode = answer.kind === "admitted" ? ReasonCode.success : ReasonCode.continueAuthentication
  encodeAuth(machine.connection, { reasonCode, authenticationMethod, authenticationData: answer.data }, machine.packetSizeMax)
}

/**
 * CONNECT and CONNACK [MQTT5 3.1, 3.2]: judges the packet, has the client authenticated, opens its session, answers.
 */
import { encodeAuth } from "../../codec/Auth.js"
import { encodeConnack } from "../../codec/Connack.js"
import { type ConnackFields, type ConnectPacket, packetSizeLimit, type Will } from "../../codec/Packets.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { Credentials } from "@effectmq/security/Authenticator"
import type { Admission, LoginAnswer, Refusal } from "../ConnectionContext.js"
import { type ConnectionMachine, pauseFor } from "../ConnectionMachine.js"
import type { MqttOptions } from "../MqttOptions.js"
import type { Session } from "../Session.js"
import { fillIn, fillInFilter } from "../../features/core/TopicRewrite.js"

export const handleConnect = (machine: ConnectionMachine, packet: ConnectPacket): void => {
  const { context, options } = machine
  machine.version = packet.version
  machine.problemInformation = packet.requestProblemInformation
  machine.packetSizeMax = Math.min(packet.maximumPacketSize, packetSizeLimit)
  machine.receiveMaximum = packet.receiveMaximum
  // An empty id is replaced by one of ours [MQTT-3.1.3-6], [MQTT-3.1.3-7]; the decoder refuses it where it may not be.
  machine.clientId = packet.clientId === "" ? context.randomClientId() : packet.clientId
  const refusal = judge(packet, options) ?? (context.shuttingDown ? shuttingDown : undefined)
  if (refusal !== undefined) {
    machine.refuse(refusal.reasonCode, refusal.message)
    return
  }
  machine.state = "authenticating"
  machine.connect = packet
  machine.connectExpirySeconds = requestedExpirySeconds(packet, options)
  holdBack(machine)
  const credentials: Credentials = credentialsOf(machine, packet)
  const { authenticationMethod: method } = packet
  if (method === undefined) {
    let isAnswered = false
    const stop = context.login.login(credentials, (answer) => {
      isAnswered = true
      machine.stopWaiting = undefined
      answered(machine, answer)
    })
    if (!isAnswered) machine.stopWaiting = stop ?? undefined
    return
  }
  machine.authenticationMethod = method
  context.login.exchange(method, credentials, (exchange) => {
    if (machine.state !== "authenticating") return
    if ("reasonCode" in exchange) {
      refuseLogin(machine, exchange)
      return
    }
    machine.exchange = exchange
    exchange.step(packet.authenticationData ?? Buffer.alloc(0), (answer) => answered(machine, answer))
  })
}

const shuttingDown: Refusal = { reasonCode: ReasonCode.serverUnavailable, message: "the server is shutting down" }

/** What can be said without knowing who it is. */
const judge = (packet: ConnectPacket, options: MqttOptions): Refusal | undefined => {
  const { clientId, version, will } = packet
  if (version === 3 && options.strictClientIds && clientId.length > 23) {
    return { reasonCode: ReasonCode.clientIdentifierNotValid, message: "a client id of MQTT 3.1 has at most 23 characters" }
  }
  if (clientId.length > options.clientIdLengthMax) {
    return {
      reasonCode: ReasonCode.clientIdentifierNotValid,
      message: `a client id has at most ${options.clientIdLengthMax} characters`
    }
  }
  if (will !== undefined) {
    // [MQTT-3.2.2-12], [MQTT-3.2.2-13]
    if (will.qos > options.maximumQos)
      return { reasonCode: ReasonCode.qosNotSupported, message: "the QoS of the will is not supported" }
    if (will.retain && !options.retainAvailable) {
      return { reasonCode: ReasonCode.retainNotSupported, message: "retained messages are not supported" }
    }
  }
  return undefined
}

/** How long the session outlives its connection, in seconds; before 5.0 Clean Session alone decides. */
const requestedExpirySeconds = (packet: ConnectPacket, options: MqttOptions): number => {
  const requested = packet.version === 5 ? (packet.sessionExpirySeconds ?? 0) : packet.cleanStart ? 0 : 0xffffffff
  return Math.min(requested, options.sessionExpirySecondsMax)
}

export const credentialsOf = (machine: ConnectionMachine, packet: ConnectPacket): Credentials => ({
  tenant: machine.options.tenant,
  clientId: machine.clientId,
  username: packet.username,
  password: packet.password,
  certificateCommonName: machine.connection.peerCertificate?.commonName,
  address: machine.connection.remoteAddress
})

/** Nothing more is taken from the client until it is known who it is. */
const holdBack = (machine: ConnectionMachine): void => {
  machine.parser.stop()
  machine.connection.pause(pauseFor.login)
}

const goOn = (machine: ConnectionMachine): void => {
  machine.connection.resume(pauseFor.login)
  machine.parser.resume()
}

/** The next message of enhanced authentication before CONNACK. */
export const continueLogin = (machine: ConnectionMachine, data: Uint8Array): void => {
  holdBack(machine)
  machine.exchange?.step(data, (answer) => answered(machine, answer))
}

const answered = (machine: ConnectionMachine, answer: LoginAnswer): void => {
  if (machine.state !== "authenticating") return
  if (answer.kind === "refused") {
    refuseLogin(machine, answer.refusal)
  } else if (answer.kind === "continue") {
    const authenticationMethod = machine.authenticationMethod as string
    const authenticationData = answer.data
    encodeAuth(
      machine.connection,
      { reasonCode: ReasonCode.continueAuthentication, authenticationMethod, authenticationData },
      machine.packetSizeMax
    )
    goOn(machine)
  } else {
    admit(machine, answer.admission, answer.data)
  }
}

const refuseLogin = (machine: ConnectionMachine, refusal: Refusal): void => {
  const { clientId, connection } = machine
  machine.context.log("debug", "client refused", { clientId, address: connection.remoteAddress, reason: refusal.message })
  machine.refuse(refusal.reasonCode, refusal.message)
}

const admit = (machine: ConnectionMachine, admission: Admission, data: Uint8Array | undefined): void => {
  const packet = machine.connect as ConnectPacket
  const { context, clientId } = machine
  const { user } = admission.principal
  let will: Will | undefined = packet.will
  if (will !== undefined) {
    const verdict = context.rules.publish(will.topic, clientId, user)
    if (verdict.reasonCode !== 0 || verdict.dueMs !== undefined) {
      refuseLogin(machine, { reasonCode: ReasonCode.topicNameInvalid, message: "the topic of the will is not valid" })
      return
    }
    will = { ...will, topic: verdict.topic }
    if (!admission.permissions.publish(will.topic, will.retain)) {
      refuseLogin(machine, { reasonCode: ReasonCode.notAuthorized, message: "the will may not be published" })
      return
    }
  }
  const { registry } = admission.tenant
  const { connectionsMax } = admission.tenant.quota()
  const known = registry.get(clientId)
  const takesOver = known?.client !== undefined
  if (connectionsMax !== undefined && registry.connectedCount >= connectionsMax && !takesOver) {
    refuseLogin(machine, { reasonCode: ReasonCode.quotaExceeded, message: "the tenant has as many clients as it may" })
    return
  }
  const isOneMore = machine.connectExpirySeconds > 0 && known?.durable !== true
  if (isOneMore && registry.persistentCount >= context.options.persistentSessionsMax) {
    refuseLogin(machine, {
      reasonCode: ReasonCode.quotaExceeded,
      message: "the tenant has as many persistent sessions as it may"
    })
    return
  }
  machine.admission = admission
  const { session, present } = registry.open(
    {
      clientId,
      version: packet.version,
      cleanStart: packet.cleanStart,
      expirySeconds: machine.connectExpirySeconds,
      will,
      user,
      address: machine.connection.remoteAddress
    },
    machine
  )
  machine.session = session
  machine.owner = session
  if (session.durable) session.afterWrite(() => welcome(machine, session, present, data))
  else welcome(machine, session, present, data)
}

const welcome = (machine: ConnectionMachine, session: Session, present: boolean, data: Uint8Array | undefined): void => {
  if (machine.state !== "authenticating" || session.client !== machine) return
  const { context, connection } = machine
  const packet = machine.connect as ConnectPacket
  machine.connect = undefined
  const keepAliveSeconds = keepAliveOf(packet, machine.options)
  const fields = connackFields(machine, packet, present, keepAliveSeconds, data)
  if (!encodeConnack(connection, packet.version, fields, machine.packetSizeMax)) {
    machine.close("protocol-error")
    return
  }
  machine.exchange = undefined
  machine.state = "connected"
  machine.accepted = true
  context.counters.connectsAccepted++
  connection.established()
  // One and a half times the keep alive [MQTT-3.1.2-22].
  connection.setIdleTimeout(keepAliveSeconds * 1500)
  machine.setOutboundAliases(Math.min(packet.topicAliasMaximum, machine.options.topicAliasMaximum))
  machine.followRate()
  session.attach(machine, machine.receiveMaximum)
  subscribeAutomatically(machine, session)
  const { cleanStart } = packet
  machine.admission?.tenant.registry.events.connected(session, { localPort: connection.localPort, keepAliveSeconds, cleanStart })
  goOn(machine)
}

/** Server Keep Alive [MQTT-3.1.2-21] where the client asks for more than is allowed; older clients cannot be told. */
const keepAliveOf = (packet: ConnectPacket, options: MqttOptions): number => {
  const { keepAliveSeconds, version } = packet
  if (version !== 5 || options.keepAliveSecondsMax === 65_535) return keepAliveSeconds
  return keepAliveSeconds === 0 ? options.keepAliveSecondsMax : Math.min(keepAliveSeconds, options.keepAliveSecondsMax)
}

const connackFields = (
  machine: ConnectionMachine,
  packet: ConnectPacket,
  sessionPresent: boolean,
  keepAliveSeconds: number,
  authenticationData: Uint8Array | undefined
): ConnackFields => {
  const { authenticationMethod, clientId, connectExpirySeconds, options } = machine
  const { responseInformation } = options
  return {
    sessionPresent,
    reasonCode: ReasonCode.success,
    // Told where it is not what the client asked for [MQTT5 3.2.2.3.2].
    sessionExpirySeconds: connectExpirySeconds === (packet.sessionExpirySeconds ?? 0) ? undefined : connectExpirySeconds,
    receiveMaximum: options.receiveMaximum === 65_535 ? undefined : options.receiveMaximum,
    maximumQos: options.maximumQos === 2 ? undefined : options.maximumQos,
    retainAvailable: options.retainAvailable ? undefined : false,
    maximumPacketSize: options.packetSizeMax >= packetSizeLimit ? undefined : options.packetSizeMax,
    assignedClientId: packet.clientId === "" ? clientId : undefined,
    topicAliasMaximum: options.topicAliasMaximum === 0 ? undefined : options.topicAliasMaximum,
    wildcardSubscriptionAvailable: options.wildcardSubscriptionAvailable ? undefined : false,
    subscriptionIdentifiersAvailable: options.subscriptionIdentifiersAvailable ? undefined : false,
    sharedSubscriptionAvailable: options.sharedSubscriptionAvailable ? undefined : false,
    serverKeepAliveSeconds: keepAliveSeconds === packet.keepAliveSeconds ? undefined : keepAliveSeconds,
    // Only where it was asked for [MQTT-3.1.2-28].
    responseInformation:
      packet.requestResponseInformation && responseInformation !== undefined
        ? fillIn(responseInformation, clientId, machine.admission?.principal.user)
        : undefined,
    authenticationMethod,
    authenticationData
  }
}

const subscribeAutomatically = (machine: ConnectionMachine, session: Session): void => {
  const { options, rules } = machine.context
  for (const automatic of options.automaticSubscriptions) {
    const text = fillInFilter(automatic.filter, session.clientId, session.user)
    if (text === undefined || session.isSubscribed(text)) continue
    const target = rules.subscribe(text, session.clientId, session.user, machine.options)
    if (typeof target === "number" || session.exclusivelyTaken(target)) continue
    const { qos, noLocal, retainAsPublished, retainHandling } = automatic
    session.subscribe(target, { qos, noLocal, retainAsPublished, retainHandling, subscriptionId: undefined })?.()
  }
}

/**
 * PUBLISH from a client [MQTT5 3.3], and what comes of it: PUBACK or PUBREC, in the order of the PUBLISH packets.
 *
 * The hot path: for the topic the client published to last, everything but the message itself is known already.
 */
import { isUtf8 } from "node:buffer"
import { Message } from "@effectmq/messaging/Message"
import type { StorageError } from "@effectmq/storage/StorageError"
import type { ParsedPublish } from "../../codec/ParsedPublish.js"
import { receivedFrame } from "../../codec/PublishEncoder.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { Admission } from "../ConnectionContext.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"
import type { Session } from "../Session.js"
import { originOf } from "../SessionRecords.js"

export const handlePublish = (machine: ConnectionMachine, publish: ParsedPublish): void => {
  const { context } = machine
  context.counters.publishesReceived++
  const { qos, retain } = publish
  let { topic } = publish
  if (publish.topicAlias !== 0) {
    const resolved = resolveAlias(machine, publish)
    if (resolved === undefined) return
    topic = resolved
  }
  if (qos > machine.options.maximumQos) {
    // [MQTT-3.2.2-11]
    machine.protocolError("PUBLISH with a QoS that is not supported", ReasonCode.qosNotSupported)
    return
  }
  if (retain && !machine.options.retainAvailable) {
    // [MQTT-3.2.2-14]
    machine.protocolError("PUBLISH with RETAIN, which is not supported", ReasonCode.retainNotSupported)
    return
  }
  if (topic !== machine.lastTopic || retain !== machine.lastRetain || context.epoch !== machine.lastEpoch) {
    judge(machine, topic, retain)
  }
  let reasonCode = machine.lastReason
  if (reasonCode === 0 && publish.properties?.payloadFormat === 1 && !isText(publish)) {
    reasonCode = ReasonCode.payloadFormatInvalid
  }
  if (qos === 0) {
    if (reasonCode === 0) send(machine, publish, topic, undefined, 0)
    else context.counters.publishesRefused++
  } else if (qos === 1) {
    publishQos1(machine, publish, topic, reasonCode)
  } else {
    publishQos2(machine, publish, topic, reasonCode)
  }
}

const publishQos1 = (machine: ConnectionMachine, publish: ParsedPublish, topic: string, reasonCode: number): void => {
  if (!hasRoom(machine)) return
  const token = machine.ackQueue.begin(publish.packetId, "puback")
  if (reasonCode === 0) send(machine, publish, topic, undefined, token)
  else refuse(machine, token, reasonCode)
}

const publishQos2 = (machine: ConnectionMachine, publish: ParsedPublish, topic: string, reasonCode: number): void => {
  const session = machine.session as Session
  const { packetId } = publish
  const known = session.inboundCount === 0 ? undefined : session.inbound.get(packetId)
  if (known !== undefined) {
    // Sent again: acknowledged again, not published again [MQTT-4.3.3-10].
    const token = machine.ackQueue.begin(packetId, "pubrec")
    if (known.settled) machine.finishAck(token, ReasonCode.success)
    else known.whenReceived = (reason) => answer(machine, token, reason)
    return
  }
  if (!hasRoom(machine)) return
  const token = machine.ackQueue.begin(packetId, "pubrec")
  if (reasonCode !== 0) {
    refuse(machine, token, reasonCode)
    return
  }
  const { use } = session.inbound.begin(packetId)
  let origin: string | undefined
  if (session.durable) {
    origin = originOf(session.clientId, session.incarnation, packetId, use)
    session.progressMoved()
  }
  send(machine, publish, topic, origin, token)
}

/** Whether one more publish may be unacknowledged [MQTT-3.3.4-7 to -9]. Older clients know no such limit: they are slowed. */
const hasRoom = (machine: ConnectionMachine): boolean => {
  const { receiveMaximum } = machine.options
  const inbound = machine.session?.inboundCount ?? 0
  if (machine.version !== 5) {
    if (machine.pendingAcks + 1 >= receiveMaximum) machine.pauseForAcks()
    return true
  }
  if (machine.pendingPubacks + inbound < receiveMaximum) return true
  machine.protocolError("more publishes unacknowledged than the receive maximum", ReasonCode.receiveMaximumExceeded)
  return false
}

const resolveAlias = (machine: ConnectionMachine, publish: ParsedPublish): string | undefined => {
  const topic = machine.resolveAlias(publish.topicAlias, publish.topic)
  if (topic !== undefined) return topic
  if (publish.topicAlias > machine.options.topicAliasMaximum) {
    // [MQTT-3.3.2-9]
    machine.protocolError("a topic alias over the maximum", ReasonCode.topicAliasInvalid)
  } else {
    machine.protocolError("a topic alias that stands for nothing")
  }
  return undefined
}

/** What a publish to the topic comes to, remembered for the next. */
const judge = (machine: ConnectionMachine, topic: string, retain: boolean): void => {
  const { permissions, principal } = machine.admission as Admission
  const verdict = machine.context.rules.publish(topic, machine.clientId, principal.user)
  machine.lastTopic = topic
  machine.lastRetain = retain
  machine.lastEpoch = machine.context.epoch
  machine.lastTarget = verdict.topic
  machine.lastDueMs = verdict.dueMs
  machine.lastReason = verdict.reasonCode
  if (verdict.reasonCode === 0 && !permissions.publish(verdict.topic, retain)) machine.lastReason = ReasonCode.notAuthorized
}

const isText = (publish: ParsedPublish): boolean => isUtf8(publish.buffer.subarray(publish.payloadStart, publish.payloadEnd))

/** A refused publish: told in version 5; before it, acknowledged and dropped [MQTT-3.3.5-2]. */
const refuse = (machine: ConnectionMachine, token: number, reasonCode: number): void => {
  machine.context.counters.publishesRefused++
  machine.finishAck(token, machine.version === 5 ? reasonCode : ReasonCode.success)
}

const send = (
  machine: ConnectionMachine,
  publish: ParsedPublish,
  topic: string,
  origin: string | undefined,
  token: number
): void => {
  const { context, lastTarget: target, lastDueMs: dueMs } = machine
  const { qos, messageExpirySeconds } = publish
  const nowMs = context.receivedAtMs
  const message = new Message(
    target,
    publish.buffer,
    publish.payloadStart,
    publish.payloadEnd,
    qos,
    publish.retain,
    publish.properties,
    nowMs,
    messageExpirySeconds === undefined ? 0 : nowMs + messageExpirySeconds * 1000,
    machine.clientId,
    origin
  )
  const { space } = (machine.admission as Admission).tenant
  if (dueMs !== undefined) {
    const acknowledger = qos === 0 ? undefined : { acknowledged: delayedAcknowledged(machine) }
    const atMs = dueMs(nowMs)
    const id = atMs === undefined ? undefined : space.delayed.schedule(message, atMs, acknowledger, token)
    if (id === undefined && qos > 0) refuseLater(machine, publish.packetId, token)
    return
  }
  if (target === topic) message.cache = receivedFrame(publish, machine.version)
  if (qos === 0) space.publish(message)
  else space.publish(message, machine, token)
}

const delayedAcknowledged = (machine: ConnectionMachine) => (token: number, error: StorageError | undefined) =>
  published(machine, token, error, 1, false)

const refuseLater = (machine: ConnectionMachine, packetId: number, token: number): void => {
  if (machine.ackQueue.kind(token) === "pubrec") machine.owner?.inbound.release(packetId)
  refuse(machine, token, ReasonCode.quotaExceeded)
}

/** The broker has taken a QoS 1 or 2 publish over, or failed to. The connection may be gone by then; the session may not. */
export const published = (
  machine: ConnectionMachine,
  token: number,
  error: StorageError | undefined,
  matched: number,
  logged: boolean
): void => {
  const acks = machine.ackQueue
  // Nobody subscribed is a success that version 5 can tell [MQTT5 3.4.2.1].
  const reasonCode = error !== undefined ? failure(error) : matched === 0 ? ReasonCode.noMatchingSubscribers : ReasonCode.success
  if (acks.kind(token) === "pubrec") received(machine, acks.packetId(token), token, reasonCode, logged)
  else answer(machine, token, reasonCode)
}

/** A client of 3.1 or 3.1.1 cannot be told of a failure: without an acknowledgement it sends the message again. */
const answer = (machine: ConnectionMachine, token: number, reasonCode: number): void => {
  if (reasonCode >= 0x80 && machine.version !== 5) machine.end(reasonCode, "the message cannot be stored")
  else machine.finishAck(token, reasonCode)
}

/** The same for QoS 2: the identifier is received from now on, or free again. */
const received = (machine: ConnectionMachine, packetId: number, token: number, reasonCode: number, logged: boolean): void => {
  const session = machine.owner as Session
  const use = session.inbound.get(packetId)
  const finish = () => {
    if (use !== undefined) use.settled = reasonCode < 0x80
    use?.deliver?.(reasonCode < 0x80)
    answer(machine, token, reasonCode)
    use?.whenReceived?.(reasonCode)
    if (use === undefined) return
    use.deliver = undefined
    use.whenReceived = undefined
  }
  if (reasonCode >= 0x80) {
    session.inbound.release(packetId)
    finish()
    return
  }
  if (use !== undefined) use.received = true
  // In the log its origin says that it was received; else progress has to, before anybody hears of it [MQTT-4.3.3-9].
  if (session.durable && !logged && !session.ended) {
    session.whenDurable(finish)
    return
  }
  // Before the checkpoint passes the message, progress has to say so.
  if (session.durable) session.progressMoved()
  finish()
}

const failure = (error: StorageError): number =>
  error.reason === "full" ? ReasonCode.quotaExceeded : ReasonCode.implementationSpecificError

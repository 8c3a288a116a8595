/**
 * SUBSCRIBE and SUBACK [MQTT5 3.8, 3.9]: one answer per filter, in order; retained messages follow.
 */
import { encodeSuback } from "../../codec/Suback.js"
import type { SubscribeEntry, SubscribePacket } from "../../codec/Packets.js"
import { ReasonCode } from "../../codec/ReasonCode.js"
import type { QoS } from "@effectmq/messaging/Message"
import type { Admission } from "../ConnectionContext.js"
import type { ConnectionMachine } from "../ConnectionMachine.js"
import type { Session } from "../Session.js"

export const handleSubscribe = (machine: ConnectionMachine, packet: SubscribePacket): void => {
  const session = machine.session as Session
  const { context } = machine
  context.counters.subscribes++
  if (packet.subscriptionIdentifier !== undefined && !machine.options.subscriptionIdentifiersAvailable) {
    machine.protocolError("subscription identifiers are not supported", ReasonCode.subscriptionIdentifiersNotSupported)
    return
  }
  const reasonCodes: Array<number> = []
  const replays: Array<() => void> = []
  for (const entry of packet.entries) {
    reasonCodes.push(subscribe(machine, session, entry, packet.subscriptionIdentifier, replays))
  }
  const answer = () => {
    if (machine.state !== "connected") return
    encodeSuback(machine.connection, machine.version, packet.packetId, reasonCodes, undefined, machine.packetSizeMax)
    for (const replay of replays) replay()
  }
  // A persistent session's subscriptions are durable before SUBACK says so.
  if (session.durable && reasonCodes.some((code) => code < 0x80)) session.afterWrite(answer)
  else answer()
}

/** The reason code of one filter. */
const subscribe = (
  machine: ConnectionMachine,
  session: Session,
  entry: SubscribeEntry,
  subscriptionId: number | undefined,
  replays: Array<() => void>
): number => {
  const { context } = machine
  const { permissions, tenant } = machine.admission as Admission
  const target = context.rules.subscribe(entry.filter, session.clientId, session.user, machine.options)
  if (typeof target === "number") return target
  if (!permissions.subscribe(target.filter)) return ReasonCode.notAuthorized
  const isNew = !session.isSubscribed(target.text)
  if (isNew && session.subscriptionCount >= context.options.subscriptionsPerClientMax) return ReasonCode.quotaExceeded
  const { subscriptionsMax } = tenant.quota()
  if (isNew && subscriptionsMax !== undefined && tenant.space.routes.subscriptionCount >= subscriptionsMax) {
    return ReasonCode.quotaExceeded
  }
  // Somebody else has it to himself.
  if (session.exclusivelyTaken(target)) return ReasonCode.quotaExceeded
  const qos = Math.min(entry.qos, machine.options.maximumQos) as QoS
  const { noLocal, retainAsPublished, retainHandling } = entry
  const replay = session.subscribe(target, { qos, noLocal, retainAsPublished, retainHandling, subscriptionId })
  if (replay !== undefined) replays.push(replay)
  tenant.registry.events.subscribed(session, target.text)
  return qos
}

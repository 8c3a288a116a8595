/**
 * What MQTT counts, as meters and as the figures under `$SYS`.
 */
import type { MetersService } from "@effectmq/metrics/Meters"
import type { PacketLimits } from "./codec/PacketLimits.js"
import type { ConnectionCounters } from "./core/ConnectionContext.js"
import type { SessionCounters } from "./core/SessionPorts.js"
import type { SysFigures } from "./features/core/SysFigures.js"
import type { OpenTenant, TenantTable } from "./TenantTable.js"

const sum = (tenants: TenantTable, of: (tenant: OpenTenant) => number): number => {
  let total = 0
  for (const tenant of tenants.values()) total += of(tenant)
  return total
}

/** Read at scrape time; per message only plain numbers are counted. */
export const registerMeters = (
  meters: MetersService,
  counters: ConnectionCounters,
  packetLimits: PacketLimits,
  tenants: TenantTable
): void => {
  const gauge = (name: string, help: string, read: () => number, labels?: Readonly<Record<string, string>>) =>
    meters.gauge(`effectmq_mqtt_${name}`, help, read, labels)
  const counter = (name: string, help: string, read: () => number, labels?: Readonly<Record<string, string>>) =>
    meters.observableCounter(`effectmq_mqtt_${name}_total`, help, read, labels)
  const received = (type: string, read: () => number) =>
    counter("packets_received", "Packets from clients by type", read, { type })
  gauge("connections", "Connections now", () => counters.connections)
  counter("connects_accepted", "Clients let in", () => counters.connectsAccepted)
  counter("connects_refused", "Clients not let in", () => counters.connectsRefused)
  counter("received_bytes", "Bytes from clients", () => counters.bytesReceived)
  received("connect", () => counters.connectsAccepted + counters.connectsRefused)
  received("publish", () => counters.publishesReceived)
  received("acknowledgement", () => counters.acknowledgementsReceived)
  received("subscribe", () => counters.subscribes)
  received("unsubscribe", () => counters.unsubscribes)
  received("pingreq", () => counters.pings)
  const sent = (type: string, read: () => number) => counter("packets_sent", "Packets to clients by type", read, { type })
  sent("publish", () => counters.publishesSent)
  sent("acknowledgement", () => counters.acknowledgementsSent)
  sent("connack", () => counters.connectsAccepted + counters.connectsRefused)
  sent("suback", () => counters.subscribes)
  sent("unsuback", () => counters.unsubscribes)
  sent("pingresp", () => counters.pings)
  counter("sent_payload_bytes", "Payload bytes of PUBLISH packets to clients", () => counters.publishBytesSent)
  counter("publishes_refused", "PUBLISH packets not taken", () => counters.publishesRefused)
  counter("protocol_errors", "Connections ended because of what the client sent", () => counters.protocolErrors)
  gauge("unfinished_packets_bytes", "Memory of packets of which a part has come", () => packetLimits.unfinishedBytes)
  counter(
    "unfinished_packets_refused",
    "Connections ended because unfinished packets took all memory there is for them",
    () => packetLimits.unfinishedRefused
  )
  counter("keep_alive_timeouts", "Connections ended by their keep alive", () => counters.keepAliveTimeouts)
  counter("takeovers", "Connections that gave way to another of the same client", () => counters.takeovers)
  counter("rate_limited", "Times a connection was paused for its rate", () => counters.rateLimited)
  gauge("sessions", "Sessions now, connected or not", () => sum(tenants, ({ registry }) => registry.size))
  gauge("sessions_connected", "Sessions with a connection now", () => sum(tenants, ({ registry }) => registry.connectedCount))
  gauge("sessions_persistent", "Sessions that outlive their connections now", () =>
    sum(tenants, ({ registry }) => registry.persistentCount)
  )
  counter("wills_published", "Wills published", () => sum(tenants, ({ registry }) => registry.willsPublished))
  counter("slow_deliveries", "Deliveries slower than the threshold", () => sum(tenants, ({ slow }) => slow.slowDeliveries))
  gauge("slow_subscribers", "Slow clients and topics remembered now", () => sum(tenants, ({ slow }) => slow.size))
  const dropped = (reason: string, read: (counters: SessionCounters) => number) =>
    counter(
      "dropped_messages",
      "Messages that did not reach a subscriber by reason",
      () => sum(tenants, (tenant) => read(tenant.counters)),
      { reason }
    )
  dropped("saturated", (session) => session.droppedQos0Saturated)
  dropped("queue-full", (session) => session.droppedQueueFull)
  dropped("expired", (session) => session.droppedExpired)
  dropped("too-large", (session) => session.droppedTooLarge)
  dropped("retention", (session) => session.droppedLost)
  counter("resent_messages", "Messages sent again on a new connection", () => sum(tenants, (tenant) => tenant.counters.resent))
}

/** All series of a meter together; undefined where nobody registered it. */
const sumOf = (meters: ReadonlyMap<string, number>, name: string): number | undefined => {
  let total: number | undefined
  for (const [key, value] of meters) if (key === name || key.startsWith(`${name}{`)) total = (total ?? 0) + value
  return total
}

const given = (name: keyof SysFigures, value: number | undefined): SysFigures => (value === undefined ? {} : { [name]: value })

/** The figures of one tenant for `$SYS`; connections, packets and bytes are those of the node. `meters`: a snapshot. */
export const figuresOf = (
  counters: ConnectionCounters,
  { registry, space, counters: dropped }: OpenTenant,
  meters: ReadonlyMap<string, number>
): SysFigures => {
  const { connectsAccepted, subscribes, unsubscribes, pings } = counters
  const answered = connectsAccepted + subscribes + unsubscribes + pings
  let inflightMessages = 0
  for (const session of registry.values()) inflightMessages += session.outbound.inflightCount
  return {
    clientsConnected: registry.connectedCount,
    sessions: registry.size,
    sessionsExpired: registry.sessionsExpired,
    subscriptions: space.routes.subscriptionCount,
    retainedMessages: space.retained.count,
    delayedMessages: space.delayed.count,
    inflightMessages,
    packetsReceived: answered + counters.publishesReceived + counters.acknowledgementsReceived,
    packetsSent: answered + counters.publishesSent + counters.acknowledgementsSent,
    publishesReceived: counters.publishesReceived,
    publishesSent: counters.publishesSent,
    publishesDropped:
      dropped.droppedQos0Saturated +
      dropped.droppedQueueFull +
      dropped.droppedExpired +
      dropped.droppedTooLarge +
      dropped.droppedLost,
    bytesReceived: counters.bytesReceived,
    publishBytesReceived: space.counters.bytesIn,
    publishBytesSent: counters.publishBytesSent,
    connects: connectsAccepted,
    disconnects: connectsAccepted - registry.connectedCount,
    ...given("bytesSent", sumOf(meters, "effectmq_network_sent_bytes_total")),
    ...given("sockets", sumOf(meters, "effectmq_connections_accepted_total")),
    ...given("heapBytes", sumOf(meters, "effectmq_process_heap_used_bytes"))
  }
}

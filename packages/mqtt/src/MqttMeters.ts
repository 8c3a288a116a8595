/**
 * What MQTT counts, as meters and as the figures under `$SYS/broker/`.
 */
import type { MetersService } from "@effectmq/metrics/Meters"
import type { ConnectionCounters } from "./core/ConnectionContext.js"
import type { SessionCounters } from "./core/SessionPorts.js"
import type { OpenTenant, TenantTable } from "./TenantTable.js"

const sum = (tenants: TenantTable, of: (tenant: OpenTenant) => number): number => {
  let total = 0
  for (const tenant of tenants.values()) total += of(tenant)
  return total
}

/** Read at scrape time; per message only plain numbers are counted. */
export const registerMeters = (meters: MetersService, counters: ConnectionCounters, tenants: TenantTable): void => {
  const gauge = (name: string, help: string, read: () => number, labels?: Readonly<Record<string, string>>) =>
    meters.gauge(`effectmq_mqtt_${name}`, help, read, labels)
  const received = (type: string, read: () => number) =>
    gauge("packets_received", "Packets from clients by type, since start", read, { type })
  gauge("connections", "Connections now", () => counters.connections)
  gauge("connects_accepted", "Clients let in, since start", () => counters.connectsAccepted)
  gauge("connects_refused", "Clients not let in, since start", () => counters.connectsRefused)
  gauge("received_bytes", "Bytes from clients, since start", () => counters.bytesReceived)
  received("publish", () => counters.publishesReceived)
  received("acknowledgement", () => counters.acknowledgementsReceived)
  received("subscribe", () => counters.subscribes)
  received("unsubscribe", () => counters.unsubscribes)
  received("pingreq", () => counters.pings)
  gauge("publishes_sent", "PUBLISH packets to clients, since start", () => counters.publishesSent)
  gauge("publishes_refused", "PUBLISH packets not taken, since start", () => counters.publishesRefused)
  gauge("protocol_errors", "Connections ended because of what the client sent, since start", () => counters.protocolErrors)
  gauge("keep_alive_timeouts", "Connections ended by their keep alive, since start", () => counters.keepAliveTimeouts)
  gauge("rate_limited", "Times a connection was paused for its rate, since start", () => counters.rateLimited)
  gauge("sessions", "Sessions now, connected or not", () => sum(tenants, ({ registry }) => registry.size))
  gauge("sessions_connected", "Sessions with a connection now", () => sum(tenants, ({ registry }) => registry.connectedCount))
  gauge("wills_published", "Wills published, since start", () => sum(tenants, ({ registry }) => registry.willsPublished))
  gauge("slow_deliveries", "Deliveries slower than the threshold, since start", () => sum(tenants, ({ slow }) => slow.slowDeliveries))
  gauge("slow_subscribers", "Slow clients and topics remembered now", () => sum(tenants, ({ slow }) => slow.size))
  const dropped = (reason: string, read: (counters: SessionCounters) => number) =>
    gauge(
      "dropped_messages",
      "Messages that did not reach a subscriber by reason, since start",
      () => sum(tenants, (tenant) => read(tenant.counters)),
      { reason }
    )
  dropped("saturated", (session) => session.droppedQos0Saturated)
  dropped("queue-full", (session) => session.droppedQueueFull)
  dropped("expired", (session) => session.droppedExpired)
  dropped("too-large", (session) => session.droppedTooLarge)
  dropped("retention", (session) => session.droppedLost)
  gauge("resent_messages", "Messages sent again on a new connection, since start", () => sum(tenants, (tenant) => tenant.counters.resent))
}

/** The figures of one tenant. */
export const figuresOf = (
  counters: ConnectionCounters,
  tenant: OpenTenant,
  uptimeMs: number
): ReadonlyMap<string, string | number> => {
  const { registry, space } = tenant
  return new Map<string, string | number>([
    ["version", "EffectMQ 0.1.0"],
    ["uptime", Math.floor(uptimeMs / 1000)],
    ["clients/connected", registry.connectedCount],
    ["clients/disconnected", registry.size - registry.connectedCount],
    ["clients/total", registry.size],
    ["messages/received", space.counters.messagesIn],
    ["publish/messages/received", counters.publishesReceived],
    ["publish/messages/sent", counters.publishesSent],
    ["publish/bytes/received", space.counters.bytesIn],
    ["publish/messages/dropped", tenant.counters.droppedQos0Saturated + tenant.counters.droppedQueueFull],
    ["retained messages/count", space.retained.count],
    ["subscriptions/count", space.routes.subscriptionCount],
    ["delayed/count", space.delayed.count]
  ])
}

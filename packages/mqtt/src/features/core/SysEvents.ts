/**
 * What happens to clients, as the JSON that is published below `$SYS/brokers/<node>/clients/<client id>/`. Field names and
 * values are those that EMQX uses, so that programs written for it read them; times are wall-clock ms.
 */
import type { Alarm } from "@effectmq/metrics/Alarms"
import type { ConnectFacts, DisconnectReason } from "../../core/ClientEvents.js"
import type { Session } from "../../core/Session.js"

/** One level of a topic, whatever is in the client id: `/`, `+`, `#` and `%` are written as `%2F` and so on. */
export const levelOfClientId = (clientId: string): string => clientId.replace(/[/+#%]/g, encodeURIComponent)

const reasonNames: Readonly<Record<DisconnectReason, string>> = {
  normal: "normal",
  "with-will": "disconnect_with_will_message",
  "taken-over": "takenover",
  kicked: "kicked",
  "keep-alive-timeout": "keepalive_timeout",
  "protocol-error": "protocol_error",
  "connection-lost": "tcp_closed",
  shutdown: "server_shutting_down",
  "refused-by-broker": "refused_by_broker"
}

const protocol = "mqtt"

const commonOf = (session: Session) => ({
  clientid: session.clientId,
  username: session.user ?? null,
  ipaddress: session.address,
  protocol,
  proto_name: session.version === 3 ? "MQIsdp" : "MQTT",
  proto_ver: session.version,
  connected_at: session.connectedAtMs
})

export const connectedEvent = (session: Session, facts: ConnectFacts, nowMs: number): string =>
  JSON.stringify({
    ...commonOf(session),
    sockport: facts.localPort,
    keepalive: facts.keepAliveSeconds,
    clean_start: facts.cleanStart,
    expiry_interval: session.expirySeconds,
    ts: nowMs
  })

export const disconnectedEvent = (session: Session, reason: DisconnectReason, nowMs: number): string =>
  JSON.stringify({ ...commonOf(session), reason: reasonNames[reason], disconnected_at: nowMs, ts: nowMs })

export const subscribedEvent = (session: Session, filter: string, nowMs: number): string => {
  const kept = session.subscriptions.get(filter)
  const subopts =
    kept === undefined
      ? {}
      : {
          qos: kept.subscription.qos,
          nl: kept.subscription.noLocal ? 1 : 0,
          rap: kept.subscription.retainAsPublished ? 1 : 0,
          rh: kept.retainHandling,
          ...(kept.subscription.subscriptionId === undefined ? {} : { subid: kept.subscription.subscriptionId })
        }
  return JSON.stringify({ ...subjectOf(session), topic: filter, subopts, ts: nowMs })
}

export const unsubscribedEvent = (session: Session, filter: string, nowMs: number): string =>
  JSON.stringify({ ...subjectOf(session), topic: filter, ts: nowMs })

const subjectOf = (session: Session) => ({ clientid: session.clientId, username: session.user ?? null, protocol })

/** For `$SYS/brokers/<node>/alarms/activate` and `.../deactivate`. */
export const alarmEvent = (alarm: Alarm): string =>
  JSON.stringify({
    name: alarm.name,
    details: {},
    message: alarm.message,
    activate_at: alarm.raisedAtMs,
    deactivate_at: alarm.clearedAtMs ?? "infinity",
    activated: alarm.clearedAtMs === undefined
  })

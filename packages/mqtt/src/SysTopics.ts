/**
 * What the broker publishes under `$SYS`: statistics every few seconds, and what happens to clients.
 *
 * | topic                                        | payload                                     |
 * | -------------------------------------------- | ------------------------------------------- |
 * | `$SYS/broker/<name>`                         | a number as text; the names are in `figures` |
 * | `$SYS/broker/version`, `$SYS/broker/uptime`  | text, seconds                               |
 * | `$SYS/clients/<client id>/connected`         | JSON: clientId, user, address, version, atMs |
 * | `$SYS/clients/<client id>/disconnected`      | JSON: clientId, user, reason, atMs          |
 * | `$SYS/clients/<client id>/subscribed`, `.../unsubscribed` | JSON: clientId, filter, atMs   |
 *
 * In a client id, `/`, `+`, `#` and `%` are written as `%2F` and so on.
 */
import { Message } from "@effectmq/messaging/Message"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import type { ClientEvents, DisconnectReason } from "./core/ClientEvents.js"
import type { Session } from "./core/Session.js"

/** Statistics are retained: below $SYS that is in memory only. */
const publish = (space: TenantSpace, topic: string, text: string, retain: boolean, nowMs: number): void => {
  const payload = Buffer.from(text, "utf8")
  space.publish(new Message(topic, payload, 0, payload.length, 0, retain, undefined, nowMs, 0, "", undefined))
}

export const publishFigures = (space: TenantSpace, figures: ReadonlyMap<string, string | number>, nowMs: number): void => {
  for (const [name, value] of figures) publish(space, `$SYS/broker/${name}`, String(value), true, nowMs)
}

const escaped = (clientId: string): string => clientId.replace(/[/+#%]/g, (char) => encodeURIComponent(char))

/** Publishes what happens to the clients of a tenant. */
export const clientEventsToTopics = (space: TenantSpace, nowMs: () => number): ClientEvents => {
  const tell = (session: Session, event: string, fields: Readonly<Record<string, unknown>>): void => {
    const atMs = nowMs()
    const { clientId } = session
    publish(space, `$SYS/clients/${escaped(clientId)}/${event}`, JSON.stringify({ clientId, ...fields, atMs }), false, atMs)
  }
  return {
    connected: (session) => {
      const { user, address, version } = session
      tell(session, "connected", { user, address, version })
    },
    disconnected: (session, reason: DisconnectReason) => tell(session, "disconnected", { user: session.user, reason }),
    subscribed: (session, filter) => tell(session, "subscribed", { filter }),
    unsubscribed: (session, filter) => tell(session, "unsubscribed", { filter })
  }
}

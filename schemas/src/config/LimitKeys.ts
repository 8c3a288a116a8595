/**
 * Keys of limits on clients. 0 is no limit wherever it is allowed.
 */
import { integer } from "./Key.js"

const rate = (doc: string, unit: string, fallback = 0) =>
  integer({ fallback, min: 0, max: 1_000_000_000, unit, doc: `${doc}; 0 is no limit.` })

export const limitKeys = {
  "limits.connectionsMax": integer({ fallback: 100_000, min: 1, max: 10_000_000, doc: "Connections in all." }),
  "limits.connectionsPerAddressMax": rate("Connections from one address", ""),
  "limits.connectionsPerSecond": rate("New connections a second on one listener", "per second"),
  "limits.client.messagesPerSecond": rate("Publishes a second by one client", "per second"),
  "limits.client.bytesPerSecond": rate("Bytes a second received from one client", "bytes per second"),
  "limits.tenant.messagesPerSecond": rate("Publishes a second by all clients of a tenant", "per second"),
  "limits.tenant.bytesPerSecond": rate("Bytes a second received from all clients of a tenant", "bytes per second")
}

/**
 * Keys of how MQTT messages are kept: the log behind persistent sessions, and retained messages.
 */
import { integer, oneOf } from "./Key.js"

export const mqttLogKeys = {
  "mqtt.log.engine": oneOf(["file", "memory"], {
    fallback: "file",
    doc: "Which storage engine keeps messages and sessions; `memory` forgets all of it when the node stops."
  }),
  "mqtt.log.durability": oneOf(["fsync", "interval", "os"], {
    fallback: "fsync",
    doc: "When a QoS 1 or 2 message counts as kept: once it is synced, within `storage.wal.syncIntervalMs`, or once it is written."
  }),
  "mqtt.log.shards": integer({
    fallback: 1,
    min: 1,
    max: 64,
    doc: "Shards of a tenant's log, fixed when that is made: another value counts for logs that are made after the next start. With 1 a persistent session gets the messages of all topics in the order in which they were published; with more, those of each topic."
  }),
  "mqtt.log.retentionSeconds": integer({
    fallback: 0,
    min: 0,
    max: 3_155_760_000,
    unit: "seconds",
    doc: "Older messages leave the log even where a client that is away has not had them; 0 keeps them."
  }),
  "mqtt.log.retentionBytes": integer({
    fallback: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: "bytes per shard",
    doc: "The same by size; 0 keeps all."
  }),
  "mqtt.retained.messagesMax": integer({
    fallback: 5_000_000,
    min: 0,
    max: 1_000_000_000,
    doc: "Retained messages; past it new topics are not retained."
  }),
  "mqtt.retained.bytesMax": integer({
    fallback: 1024 * 1024 * 1024,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: "bytes per tenant",
    doc: "Memory for retained messages, topics and properties included; past it nothing more is retained."
  }),
  "mqtt.retained.payloadBytesMax": integer({
    fallback: 1024 * 1024,
    min: 0,
    max: 268_435_460,
    unit: "bytes",
    doc: "Largest payload that is retained."
  })
}

/**
 * Keys of the node itself: who it is, where its data is, storage, logs, metrics and the admin API.
 */
import { flag, integer, oneOf, optionalText, port, secretText, text } from "./Key.js"

const oneGibibyte = 1024 * 1024 * 1024

export const nodeKeys = {
  "node.id": integer({ fallback: 1, min: 1, max: 2147483647, doc: "Number of this node in its cluster." }),
  "node.name": text({ fallback: "effectmq", doc: "Name of this node for people, as `effectmq status` shows it." }),
  "data.dir": text({ fallback: "./data", doc: "Directory of everything durable. One process at a time may hold it." }),

  "storage.wal.syncIntervalMs": integer({
    fallback: 100,
    min: 1,
    max: 60_000,
    unit: "ms",
    doc: "How often a log is synced for topics whose durability is `interval`."
  }),
  "storage.segmentBytes": integer({
    fallback: 128 * 1024 * 1024,
    min: 64 * 1024,
    max: 2 * oneGibibyte - 1,
    unit: "bytes",
    doc: "Size at which a segment file of a shard is closed and the next begun."
  }),
  "storage.memory.bytesMax": integer({
    fallback: 256 * 1024 * 1024,
    min: 1024 * 1024,
    max: 1024 * oneGibibyte,
    unit: "bytes",
    doc: "Bytes that topics of the memory engine may hold together."
  }),

  "log.level": oneOf(["trace", "debug", "info", "warn", "error"], {
    fallback: "info",
    doc: "Least level that is logged."
  }),
  "log.format": oneOf(["auto", "json", "text"], {
    fallback: "auto",
    doc: "`json` is a line of JSON each, `text` is for people, `auto` is `text` on a terminal and `json` elsewhere."
  }),

  "metrics.enabled": flag({ fallback: true, doc: "Whether `/metrics` is served." }),
  "sys.intervalSeconds": integer({
    fallback: 10,
    min: 0,
    max: 86_400,
    unit: "seconds",
    doc: "How often the `$SYS` topics are published; 0 turns them off."
  }),

  "admin.http.host": text({ fallback: "127.0.0.1", doc: "Address of the admin API and the metrics." }),
  "admin.http.port": port({ fallback: 9644, doc: "Port of the admin API and the metrics; 0 lets the system choose." }),
  "admin.token": secretText({
    doc: "Bearer token that `/api` wants. Without one only clients on this machine are answered there."
  }),
  "auth.allowAnonymous": flag({
    fallback: false,
    doc: "Lets clients without a user name in, and lets the broker listen beyond this machine while no user is configured."
  }),
  "auth.certificateUsers": flag({
    fallback: false,
    doc: "Lets a client with a verified certificate in as the user of its common name, without a password."
  }),
  "auth.defaultAcl": oneOf(["allow", "deny"], {
    fallback: "allow",
    doc: "What holds where no ACL rule matches."
  })
}

export const tlsFileKeys = {
  "mqtt.tls.certFile": optionalText({
    doc: "PEM file of the certificate chain. With it, the TLS and secure WebSocket listeners are on."
  }),
  "mqtt.tls.keyFile": optionalText({ doc: "PEM file of the certificate's private key." }),
  "mqtt.tls.caFile": optionalText({ doc: "PEM file of the authorities that client certificates must come from." }),
  "mqtt.tls.clientCertificate": oneOf(["none", "optional", "required"], {
    fallback: "none",
    doc: "Whether a client is asked for a certificate."
  })
}

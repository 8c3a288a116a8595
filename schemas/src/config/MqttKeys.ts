/**
 * Keys of MQTT: listeners, and what the protocol leaves to the server.
 */
import { flag, integer, oneOf, oneOfNumbers, optionalText, port, text, textList } from "./Key.js"
import { tlsFileKeys } from "./NodeKeys.js"

const hostDoc =
  "Address to listen on. Unset: every IPv4 address once a user is configured or `auth.allowAnonymous` is set, until then 127.0.0.1."

export const mqttKeys = {
  "mqtt.tenant": text({ fallback: "default", doc: "Tenant of the clients of these listeners." }),
  "mqtt.tenantInUsername": flag({
    fallback: true,
    doc: "Whether a client may be of another tenant by the user name `<tenant>:<user>`."
  }),
  "mqtt.tcp.enabled": flag({ fallback: true, doc: "Whether MQTT is served over TCP." }),
  "mqtt.tcp.host": optionalText({ doc: hostDoc }),
  "mqtt.tcp.port": port({ fallback: 1883, doc: "Port of MQTT over TCP; 0 lets the system choose." }),
  "mqtt.ws.enabled": flag({ fallback: true, doc: "Whether MQTT is served over WebSocket." }),
  "mqtt.ws.host": optionalText({ doc: hostDoc }),
  "mqtt.ws.port": port({ fallback: 8083, doc: "Port of MQTT over WebSocket; 0 lets the system choose." }),
  "mqtt.ws.path": text({ fallback: "/mqtt", doc: "Path of MQTT over WebSocket, also of the secure one." }),
  "mqtt.tls.enabled": flag({ fallback: true, doc: "Whether MQTT is served over TLS; needs `mqtt.tls.certFile`." }),
  "mqtt.tls.host": optionalText({ doc: hostDoc }),
  "mqtt.tls.port": port({ fallback: 1885, doc: "Port of MQTT over TLS; 0 lets the system choose." }),
  ...tlsFileKeys,
  "mqtt.wss.enabled": flag({ fallback: true, doc: "Whether MQTT is served over secure WebSocket; needs `mqtt.tls.certFile`." }),
  "mqtt.wss.host": optionalText({ doc: hostDoc }),
  "mqtt.wss.port": port({ fallback: 8085, doc: "Port of MQTT over secure WebSocket; 0 lets the system choose." }),
  "mqtt.proxy.mode": oneOf(["off", "optional", "required"], {
    fallback: "off",
    doc: "PROXY protocol (v1 and v2): not looked for, believed where a trusted address sends it, or wanted of everybody."
  }),
  "mqtt.proxy.trustedAddresses": textList({
    fallback: [],
    doc: "Addresses and networks of the proxies that are believed, for instance `10.0.0.0/8`."
  }),

  "mqtt.connectTimeoutSeconds": integer({
    fallback: 10,
    min: 1,
    max: 3600,
    unit: "seconds",
    doc: "How long a new connection may take until its CONNECT is complete. TLS, PROXY headers and the request of a WebSocket have ten seconds of their own before that."
  }),
  "mqtt.keepAliveSecondsMax": integer({
    fallback: 65535,
    min: 1,
    max: 65535,
    unit: "seconds",
    doc: "Longest keep alive; an MQTT 5 client that asks for more is told this one."
  }),
  "mqtt.maxPacketSizeBytes": integer({
    fallback: 1024 * 1024,
    min: 128,
    max: 268_435_460,
    unit: "bytes",
    doc: "Largest packet taken from a client."
  }),
  "mqtt.userPropertiesMax": integer({
    fallback: 1024,
    min: 0,
    max: 100_000,
    doc: "User properties of one packet; more end the connection with 0x97."
  }),
  "mqtt.unfinishedPackets.bytesMax": integer({
    fallback: 256 * 1024 * 1024,
    min: 1024 * 1024,
    max: Number.MAX_SAFE_INTEGER,
    unit: "bytes",
    doc: "Memory for packets of which only a part has come, of all connections together; a connection that wants more ends with 0x97. Up to 4 KiB of each are not counted."
  }),
  "mqtt.maximumQos": oneOfNumbers([0, 1, 2], { fallback: 2, doc: "Highest QoS of publishes and subscriptions." }),
  "mqtt.retainAvailable": flag({ fallback: true, doc: "Whether retained messages are kept." }),
  "mqtt.wildcardSubscriptionAvailable": flag({ fallback: true, doc: "Whether filters may have wildcards." }),
  "mqtt.sharedSubscription.enabled": flag({ fallback: true, doc: "Whether `$share/<group>/<filter>` may be subscribed." }),
  "mqtt.subscriptionIdentifiersAvailable": flag({ fallback: true, doc: "Whether subscriptions may have identifiers." }),
  "mqtt.responseInformation": optionalText({
    doc: "What a client that asks for Response Information is told; `%c` is its client id."
  }),
  "mqtt.receiveMaximum": integer({
    fallback: 1024,
    min: 1,
    max: 65535,
    doc: "QoS 1 and 2 publishes a client may have unacknowledged at the broker."
  }),
  "mqtt.topicAliasMax": integer({
    fallback: 64,
    min: 0,
    max: 65535,
    doc: "Topic aliases per connection, in either direction; 0 turns them off."
  }),
  "mqtt.clientIdLengthMax": integer({ fallback: 1024, min: 23, max: 65535, unit: "characters", doc: "Length of a client id." }),
  "mqtt.strictClientIds": flag({
    fallback: false,
    doc: "Refuses client ids of MQTT 3.1 that are longer than 23 characters, as its text says."
  }),
  "mqtt.topicLevelsMax": integer({ fallback: 128, min: 1, max: 32768, doc: "Levels of a topic or filter." }),
  "mqtt.topicLengthMax": integer({
    fallback: 4096,
    min: 1,
    max: 65535,
    unit: "characters",
    doc: "Length of a topic or filter."
  }),
  "mqtt.session.expirySecondsMax": integer({
    fallback: 7 * 86_400,
    min: 0,
    max: 4_294_967_295,
    unit: "seconds",
    doc: "Longest time a session outlives its connection; 4294967295 is for ever."
  }),
  "mqtt.session.persistentMax": integer({
    fallback: 1_000_000,
    min: 0,
    max: 100_000_000,
    unit: "per tenant",
    doc: "Sessions that outlive their connections, whether their clients are here or away; a client that would have one more is refused."
  }),
  "mqtt.session.inflightMax": integer({
    fallback: 1024,
    min: 1,
    max: 65535,
    doc: "QoS 1 and 2 messages sent to a client and not yet acknowledged; a client's receive maximum may make it less."
  }),
  "mqtt.session.queueMax": integer({
    fallback: 10_000,
    min: 1,
    max: 10_000_000,
    doc: "Messages that wait in memory for one session."
  }),
  "mqtt.session.queueDrop": oneOf(["oldest", "newest"], {
    fallback: "oldest",
    doc: "Which message is dropped where such a queue is full and the log does not hold it."
  }),
  "mqtt.session.offlineMax": integer({
    fallback: 1_000_000,
    min: 1,
    max: 1_000_000_000,
    doc: "QoS 1 and 2 messages that are kept for a client that is away; past it the oldest are dropped."
  }),
  "mqtt.session.progressIntervalMs": integer({
    fallback: 1000,
    min: 10,
    max: 60_000,
    unit: "ms",
    doc: "How often the progress of persistent sessions is written where nothing waits for it. A crash repeats at most as much of QoS 1."
  }),
  "mqtt.subscriptionsPerClientMax": integer({
    fallback: 10_000,
    min: 1,
    max: 10_000_000,
    doc: "Subscriptions of one client."
  }),
  "mqtt.filtersPerPacketMax": integer({
    fallback: 10_000,
    min: 1,
    max: 10_000_000,
    doc: "Filters of one SUBSCRIBE or UNSUBSCRIBE; more end the connection with 0x97."
  }),
  "mqtt.sharedSubscription.strategy": oneOf(["round-robin", "random", "sticky", "hash-client", "hash-topic"], {
    fallback: "round-robin",
    doc: "How a shared subscription chooses the member that gets a message."
  })
}

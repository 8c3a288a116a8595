/**
 * The one vocabulary of record headers, so that a message reads naturally whatever protocol brought it. All values are UTF-8
 * text unless the table says bytes.
 *
 * | name           | value                                             | MQTT 5                   | AMQP           |
 * | -------------- | ------------------------------------------------- | ------------------------ | -------------- |
 * | content-type   | media type                                        | Content Type             | content-type   |
 * | reply-to       | where an answer goes                              | Response Topic           | reply-to       |
 * | correlation-id | bytes                                             | Correlation Data         | correlation-id |
 * | message-id     | the publisher's id of the message                 |                          | message-id     |
 * | payload-format | `1`: the value is UTF-8 text                      | Payload Format Indicator |                |
 * | expiry         | decimal ms since 1970 past which it is void       | Message Expiry Interval  | expiration     |
 * | emq-qos        | `0`, `1`, `2`: as published                       | QoS                      | delivery-mode  |
 * | emq-retain     | `1`: published with the retain flag               | RETAIN                   |                |
 * | emq-publisher  | client id of the publisher                        |                          | app-id         |
 * | emq-origin     | idempotency tag of the publish                    |                          |                |
 * | emq-topic      | MQTT topic, where the key is something else       | Topic Name               | routing key    |
 *
 * Every other header is the user's own, in the order given, names repeated where the user repeats them. A user's name that reads like
 * one of these, begins with `emq-` or begins with `user.` is stored with `user.` before it, so no user can forge the broker's.
 */
export const headerName = {
  contentType: "content-type",
  replyTo: "reply-to",
  correlationId: "correlation-id",
  messageId: "message-id",
  payloadFormat: "payload-format",
  expiry: "expiry",
  qos: "emq-qos",
  retain: "emq-retain",
  publisher: "emq-publisher",
  origin: "emq-origin",
  topic: "emq-topic"
} as const

const userPrefix = "user."
const internalPrefix = "emq-"
const reserved: ReadonlySet<string> = new Set(Object.values(headerName))

/** True for names that carry the broker's meaning, known or kept for later. */
export const isReservedHeader = (name: string): boolean => reserved.has(name) || name.startsWith(internalPrefix)

/** The stored name of a user's header. */
export const userHeaderToStored = (name: string): string =>
  isReservedHeader(name) || name.startsWith(userPrefix) ? userPrefix + name : name

/** The user's name of a stored header; undefined where the header is the broker's own. */
export const userHeaderFromStored = (stored: string): string | undefined =>
  stored.startsWith(userPrefix) ? stored.slice(userPrefix.length) : isReservedHeader(stored) ? undefined : stored

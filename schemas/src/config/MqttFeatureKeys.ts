/**
 * Keys of what the broker offers beyond the MQTT specifications.
 */
import * as Schema from "effect/Schema"
import { flag, integer, list } from "./Key.js"

/** Rewrites the topics of publishes or the filters of subscriptions; the last rule whose source matches decides. */
export const RewriteRule = Schema.Struct({
  action: Schema.Literal("publish", "subscribe", "all"),
  /** Filter that the topic must match. */
  source: Schema.String.pipe(Schema.minLength(1)),
  /** Regular expression that it must match as well. */
  regex: Schema.String.pipe(
    Schema.minLength(1),
    Schema.filter((pattern) => {
      try {
        new RegExp(pattern)
        return true
      } catch {
        return "no regular expression"
      }
    })
  ),
  /** The new topic; `$1` and so on are groups, `%c` the client id, `%u` the user. */
  dest: Schema.String.pipe(Schema.minLength(1))
})
export type RewriteRule = typeof RewriteRule.Type

/** A subscription every client gets as it connects. */
export const AutomaticSubscription = Schema.Struct({
  /** `%c` is the client id, `%u` the user. */
  filter: Schema.String.pipe(Schema.minLength(1)),
  qos: Schema.optionalWith(Schema.Literal(0, 1, 2), { default: () => 0 as const }),
  noLocal: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  retainAsPublished: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  retainHandling: Schema.optionalWith(Schema.Literal(0, 1, 2), { default: () => 0 as const })
})
export type AutomaticSubscription = typeof AutomaticSubscription.Type

export const mqttFeatureKeys = {
  "mqtt.rewrite": list(RewriteRule, {
    fallback: [],
    countMax: 1000,
    expected:
      'a list such as [{"action":"publish","source":"x/#","regex":"^x/(.+)$","dest":"y/$1"}]; action is publish, subscribe or all',
    doc: "Rules that rewrite topics of publishes and filters of subscriptions; the last rule whose source matches decides."
  }),
  "mqtt.automaticSubscriptions": list(AutomaticSubscription, {
    fallback: [],
    countMax: 1000,
    expected: 'a list such as [{"filter":"inbox/%c","qos":1,"noLocal":false,"retainAsPublished":false,"retainHandling":0}]',
    doc: "Subscriptions that every client gets as it connects; `%c` is its client id, `%u` its user."
  }),
  "mqtt.exclusive.enabled": flag({
    fallback: true,
    doc: "Whether `$exclusive/<filter>` may be subscribed, by one client at a time."
  }),
  "mqtt.delayed.enabled": flag({ fallback: true, doc: "Whether `$delayed/<seconds>/<topic>` is published later." }),
  "mqtt.delayed.secondsMax": integer({
    fallback: 42_949_670,
    min: 1,
    max: 4_294_967_295,
    unit: "seconds",
    doc: "Longest delay."
  }),
  "mqtt.delayed.countMax": integer({ fallback: 1_000_000, min: 1, max: 100_000_000, doc: "Delayed messages that may wait." }),
  "mqtt.delayed.bytesMax": integer({
    fallback: 256 * 1024 * 1024,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: "bytes per tenant",
    doc: "Memory for delayed messages, topics and properties included; past it no more are taken."
  }),
  "mqtt.flapping.enabled": flag({
    fallback: false,
    doc: "Whether a client that connects again and again is banned for a while; only connects that are let in count."
  }),
  "mqtt.flapping.connectsMax": integer({
    fallback: 15,
    min: 1,
    max: 100_000,
    doc: "Connects of one client within the window that are still let be."
  }),
  "mqtt.flapping.windowSeconds": integer({ fallback: 60, min: 1, max: 86_400, unit: "seconds", doc: "The window." }),
  "mqtt.flapping.banSeconds": integer({
    fallback: 300,
    min: 1,
    max: 31_536_000,
    unit: "seconds",
    doc: "How long such a client is banned."
  }),
  "mqtt.slowSubscribers.enabled": flag({ fallback: true, doc: "Whether slow subscribers are counted." }),
  "mqtt.slowSubscribers.thresholdMs": integer({
    fallback: 500,
    min: 1,
    max: 3_600_000,
    unit: "ms",
    doc: "A delivery that takes longer counts as slow."
  }),
  "mqtt.slowSubscribers.countMax": integer({ fallback: 10, min: 1, max: 1000, doc: "Slowest subscribers that are remembered." }),
  "mqtt.slowSubscribers.windowSeconds": integer({
    fallback: 300,
    min: 1,
    max: 86_400,
    unit: "seconds",
    doc: "After so long without a slow delivery a subscriber is forgotten."
  })
}

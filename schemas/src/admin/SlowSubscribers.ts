/**
 * `GET /api/v1/slow-subscribers`: who was slow to take messages of late, slowest first.
 */
import * as Schema from "effect/Schema"

export const SlowSubscriberSummary = Schema.Struct({
  clientId: Schema.String,
  topic: Schema.String,
  /** Longest time from a message's arrival at the broker to its acknowledgement. */
  latencyMs: Schema.Number,
  /** How many were slow. */
  deliveries: Schema.Int,
  lastAtMs: Schema.Number
})
export type SlowSubscriberSummary = typeof SlowSubscriberSummary.Type

export const SlowSubscriberList = Schema.Array(SlowSubscriberSummary)

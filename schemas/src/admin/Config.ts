/**
 * `GET /api/v1/config`: every key with its value and where it came from; secrets are masked.
 */
import * as Schema from "effect/Schema"

export const ConfigEntry = Schema.Struct({
  key: Schema.String,
  /** JSON; null where it is unset. */
  value: Schema.Unknown,
  source: Schema.String,
  unit: Schema.String,
  doc: Schema.String
})
export type ConfigEntry = typeof ConfigEntry.Type

export const ConfigList = Schema.Array(ConfigEntry)

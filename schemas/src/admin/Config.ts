/**
 * `GET /api/v1/config`: every key with its value and where it came from; secrets are masked.
 */
import * as Schema from "effect/Schema"

export const ConfigEntry = Schema.Struct({
  key: Schema.String,
  /** JSON; null where it is unset. */
  value: Schema.Unknown,
  source: Schema.String,
  /** Whether it can be changed while the cluster runs. */
  dynamic: Schema.Boolean,
  unit: Schema.String,
  doc: Schema.String,
  /** What the node was started with, where the metadata says otherwise. */
  hidden: Schema.optional(Schema.Struct({ value: Schema.Unknown, source: Schema.String })),
  /** Why what the metadata says of the key does not hold on this node. */
  problem: Schema.optional(Schema.String)
})
export type ConfigEntry = typeof ConfigEntry.Type

export const ConfigList = Schema.Array(ConfigEntry)

/** `PUT /api/v1/config/<key>` */
export const PutConfigBody = Schema.Struct({ value: Schema.Unknown })

/**
 * `/api/v1/bans`: `GET` lists, `PUT` and `DELETE /<kind>/<value>`.
 */
import * as Schema from "effect/Schema"
import { Ban } from "../metadata/Ban.js"

/** Bans that hold now. */
export const BanList = Schema.Array(Ban)

export const PutBanBody = Schema.Struct({
  reason: Schema.optionalWith(Schema.String, { default: () => "" }),
  /** Wall-clock ms; absent: for ever. */
  untilMs: Schema.optional(Schema.Int)
})
export type PutBanBody = typeof PutBanBody.Type

/**
 * Who may not connect, and until when. A ban whose time has passed holds no more, whether or not it is still listed.
 */
import * as Schema from "effect/Schema"

/**
 * `user`, `clientId`: the exact name. `address`: an IP address or a block in CIDR notation.
 * `pattern`: a client id in which `*` stands for any characters and `?` for one.
 */
export const BanKind = Schema.Literal("user", "clientId", "address", "pattern")
export type BanKind = typeof BanKind.Type

export const banFields = {
  tenant: Schema.String,
  kind: BanKind,
  value: Schema.String,
  reason: Schema.String,
  /** Who or what made it, for instance a user's name or `flapping`. */
  by: Schema.String,
  /** Wall-clock ms; absent: for ever. */
  untilMs: Schema.optional(Schema.Int)
}

export const Ban = Schema.Struct({ ...banFields, createdAtMs: Schema.Int })
export type Ban = typeof Ban.Type

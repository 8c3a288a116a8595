/**
 * A user of a tenant, with what is needed to check a password and never the password.
 */
import * as Schema from "effect/Schema"

/** RFC 5802 section 3; base64 of raw bytes. */
export const ScramVerifier = Schema.Struct({
  salt: Schema.String,
  iterations: Schema.Int,
  storedKey: Schema.String,
  serverKey: Schema.String
})
export type ScramVerifier = typeof ScramVerifier.Type

export const userFields = {
  tenant: Schema.String,
  name: Schema.String,
  /** PHC string: `$scrypt$...` or `$argon2id$...`; absent where the user has no password. */
  passwordHash: Schema.optional(Schema.String),
  /** For SCRAM-SHA-256; absent where the user cannot use it. */
  scram: Schema.optional(ScramVerifier),
  superuser: Schema.Boolean
}

export const User = Schema.Struct({ ...userFields, updatedAtMs: Schema.Int })
export type User = typeof User.Type

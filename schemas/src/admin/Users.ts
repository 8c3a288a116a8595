/**
 * `/api/v1/users`: `GET` lists, `GET`, `PUT` and `DELETE /<name>`. Passwords go in and never come out.
 */
import * as Schema from "effect/Schema"

export const UserSummary = Schema.Struct({
  tenant: Schema.String,
  name: Schema.String,
  superuser: Schema.Boolean,
  hasPassword: Schema.Boolean,
  /** Whether SCRAM-SHA-256 can be used. */
  hasScram: Schema.Boolean,
  updatedAtMs: Schema.Number
})
export type UserSummary = typeof UserSummary.Type

export const UserList = Schema.Array(UserSummary)

/** What is wrong with a password is told without it. */
const Password = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(1024)).annotations({
  message: () => ({ message: "expected a text of 1 to 1024 characters", override: true })
})

/** A new user needs a password; for a known one, what is absent stays as it is. */
export const PutUserBody = Schema.Struct({
  password: Schema.optionalWith(Password, { exact: true }),
  superuser: Schema.optional(Schema.Boolean)
})
export type PutUserBody = typeof PutUserBody.Type

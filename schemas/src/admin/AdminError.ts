/**
 * Every refusal of the admin API: the HTTP status says what kind, the body says why. `error` is a stable name for programs, the
 * tag of the refusal behind it; `message` is for people.
 */
import * as Schema from "effect/Schema"

export const AdminErrorBody = Schema.Struct({ error: Schema.String, message: Schema.String })
export type AdminErrorBody = typeof AdminErrorBody.Type

/** Header of an answer that no majority of the cluster confirmed: why. */
export const staleHeader = "effectmq-stale"

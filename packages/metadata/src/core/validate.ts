/**
 * Checks of the fields of commands. Each answers undefined, or what is wrong with the field.
 */
import { InvalidField } from "@effectmq/schemas/errors/MetadataError"
import { TenantId, TopicName, UserName, PrincipalName } from "@effectmq/schemas/Ids"
import * as Schema from "effect/Schema"
import { isAddressOrBlock } from "./address.js"
import { limits } from "./limits.js"

type Checked = InvalidField | undefined

const isTenantId = Schema.is(TenantId)
const isTopicName = Schema.is(TopicName)
const isUserName = Schema.is(UserName)
const isPrincipalName = Schema.is(PrincipalName)

const shownMax = 200

export const invalid = (field: string, value: unknown, reason: string): InvalidField =>
  new InvalidField({ field, value: String(value).slice(0, shownMax), reason })

export const checkTenant = (value: string): Checked =>
  isTenantId(value) ? undefined : invalid("tenant", value, "1 to 128 letters, digits, dots, underscores or hyphens")

/** `.` and `..` are no names: Kafka refuses them too. */
export const checkTopicName = (value: string): Checked =>
  isTopicName(value) && value !== "." && value !== ".."
    ? undefined
    : invalid("name", value, "1 to 249 letters, digits, dots, underscores or hyphens, and not . or ..")

export const checkUserName = (field: string, value: string): Checked =>
  isUserName(value) ? undefined : invalid(field, value, "1 to 256 characters, none of them a colon or a control character")

export const checkPrincipalName = (field: string, value: string): Checked =>
  isPrincipalName(value) ? undefined : invalid(field, value, "1 to 256 characters without control characters")

export const checkText = (field: string, value: string, min: number, max: number = limits.textLengthMax): Checked =>
  value.length >= min && value.length <= max && !/[\u0000-\u001f\u007f]/.test(value)
    ? undefined
    : invalid(field, value, `${min} to ${max} characters without control characters`)

export const checkInt = (
  field: string,
  value: number | null | undefined,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER
): Checked =>
  value === undefined || value === null || (Number.isSafeInteger(value) && value >= min && value <= max)
    ? undefined
    : invalid(field, value, `a whole number from ${min} to ${max}`)

export const checkAddress = (field: string, value: string | undefined): Checked =>
  value === undefined || isAddressOrBlock(value)
    ? undefined
    : invalid(field, value, "an IP address or a block of them, as in 10.0.0.0/8")

/** A topic filter without a `$share/` prefix: + and # stand alone in their level, # last [MQTT-4.7.1-1, -2]; no NUL [MQTT-4.7.3-2]. */
export const checkFilter = (field: string, value: string | null | undefined): Checked => {
  if (value === undefined || value === null) return undefined
  if (value === "") return invalid(field, value, "a topic filter of at least one character")
  if (Buffer.byteLength(value) > limits.filterBytesMax) {
    return invalid(field, value, `a topic filter of at most ${limits.filterBytesMax} bytes`)
  }
  if (value.includes("\u0000")) return invalid(field, value, "a topic filter without U+0000")
  if (value.startsWith("$share/")) return invalid(field, value, "a topic filter, not a shared subscription")
  const levels = value.split("/")
  for (const [at, level] of levels.entries()) {
    if (level.includes("#") && (level !== "#" || at !== levels.length - 1))
      return invalid(field, value, "# only as the last level")
    if (level.includes("+") && level !== "+") return invalid(field, value, "+ only as a whole level")
  }
  return undefined
}

export const checkCommand = (command: { readonly commandId: string; readonly atMs: number }): Checked =>
  checkText("commandId", command.commandId, 1, limits.commandIdLengthMax) ?? checkInt("atMs", command.atMs, 0)

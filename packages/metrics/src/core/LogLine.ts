/**
 * A log event as one line of text.
 *
 * Invariants: one event is one line, whatever a client put into a name (control characters are escaped, so that nobody can forge
 * a line or steer a terminal); values under a key that names a secret are never printed; the line is bounded in depth, items
 * and length.
 */
export type LogFormat = "json" | "text"

export interface LogEvent {
  /** Wall-clock ms. */
  readonly timeMs: number
  readonly level: string
  /** What was given to `Effect.log*`: texts make the message, other values become details. */
  readonly message: ReadonlyArray<unknown>
  readonly annotations: Readonly<Record<string, unknown>>
  /** Milliseconds by name of the span. */
  readonly spansMs: Readonly<Record<string, number>>
  /** Pretty-printed cause, undefined where there is none. */
  readonly cause: string | undefined
}

const redacted = "[redacted]"
const depthMax = 5
const itemsMax = 50
const textLengthMax = 4096

const secretKey =
  /password|passwd|passphrase|^pass$|secret|token|credential|authorization|cookie|private.?key|api.?key|verifier|^salt$|(stored|server)key$/i

/** True where a value under this name is not to be printed. */
export const isSecretKey = (key: string): boolean => secretKey.test(key)

/** `scheme://user:password@host` without the password. */
const withoutUrlPassword = (text: string): string =>
  text.replace(/(\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s:/@]{0,256}):[^\s@/]{1,256}@/gi, "$1:[redacted]@")

const boundedText = (text: string): string =>
  withoutUrlPassword(text.length > textLengthMax ? `${text.slice(0, textLengthMax)}... (${text.length} characters)` : text)

/** A value that JSON can hold: bounded, without secrets, without what cannot be printed. Bytes are only counted. */
export const printable = (value: unknown, depth = 0): unknown => {
  switch (typeof value) {
    case "string":
      return boundedText(value)
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "boolean":
      return value
    case "bigint":
      return value.toString()
    case "symbol":
    case "function":
      return `[${typeof value}]`
  }
  if (value === null || value === undefined) return value
  if (value instanceof Error) {
    const tag = (value as { readonly _tag?: unknown })._tag
    return { error: typeof tag === "string" ? tag : value.name, message: boundedText(value.message) }
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (depth >= depthMax) return "[...]"
  try {
    return printableObject(value as object, depth)
  } catch {
    return "[unprintable]"
  }
}

const printableObject = (value: object, depth: number): unknown => {
  const toJson = (value as { readonly toJSON?: unknown }).toJSON
  if (typeof toJson === "function") return printable(toJson.call(value), depth + 1)
  if (Array.isArray(value) || value instanceof Set) {
    const items = Array.isArray(value) ? value : [...value]
    const shown = items.slice(0, itemsMax).map((item) => printable(item, depth + 1))
    return items.length > itemsMax ? [...shown, `... (${items.length} items)`] : shown
  }
  const entries = value instanceof Map ? [...value].map(([key, item]) => [String(key), item] as const) : Object.entries(value)
  return printableEntries(entries, depth)
}

const printableEntries = (entries: ReadonlyArray<readonly [string, unknown]>, depth: number): Record<string, unknown> => {
  const result: Record<string, unknown> = Object.create(null)
  for (const [key, item] of entries.slice(0, itemsMax)) {
    result[boundedText(key)] = isSecretKey(key) ? redacted : printable(item, depth + 1)
  }
  if (entries.length > itemsMax) result["..."] = `${entries.length} entries`
  return result
}

const messageText = (event: LogEvent): string =>
  event.message
    .filter((part) => typeof part !== "object" || part === null)
    .map((part) => (typeof part === "string" ? boundedText(part) : String(part)))
    .join(" ")

const messageDetails = (event: LogEvent): ReadonlyArray<unknown> =>
  event.message.filter((part) => typeof part === "object" && part !== null)

/** `{"time":...,"level":...,"message":...,"details"?,"annotations"?,"spansMs"?,"cause"?}` */
export const jsonLine = (event: LogEvent): string => {
  const line: Record<string, unknown> = {
    time: new Date(event.timeMs).toISOString(),
    level: event.level,
    message: messageText(event)
  }
  const details = messageDetails(event)
  if (details.length > 0) line["details"] = details.length === 1 ? printable(details[0]) : printable(details)
  const annotations = Object.entries(event.annotations)
  if (annotations.length > 0) line["annotations"] = printableEntries(annotations, 0)
  if (Object.keys(event.spansMs).length > 0) line["spansMs"] = event.spansMs
  if (event.cause !== undefined) line["cause"] = boundedText(event.cause)
  return escapeControls(JSON.stringify(line))
}

/** Control characters, and those that turn the direction of text, as \uXXXX. */
const escapeControls = (text: string): string =>
  text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

const colorByLevel: Readonly<Record<string, string>> = {
  trace: "\u001b[90m",
  debug: "\u001b[90m",
  info: "\u001b[32m",
  warn: "\u001b[33m",
  error: "\u001b[31m",
  fatal: "\u001b[35m"
}

const textValue = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value)
  const escaped = escapeControls(text ?? "undefined")
  return typeof value === "string" && (escaped === "" || /[\s"=]/.test(escaped)) ? JSON.stringify(escaped) : escaped
}

/** `12:34:56.789 info  message key=value`, with a cause on indented lines below, which only our own code writes. */
export const textLine = (event: LogEvent, colors: boolean): string => {
  const time = new Date(event.timeMs).toISOString().slice(11, 23)
  const color = colors ? (colorByLevel[event.level] ?? "") : ""
  const level = `${color}${event.level.padEnd(5)}${color === "" ? "" : "\u001b[0m"}`
  const parts = [time, level, escapeControls(messageText(event))]
  for (const detail of messageDetails(event)) parts.push(textValue(printable(detail)))
  for (const [key, value] of Object.entries(printableEntries(Object.entries(event.annotations), 0))) {
    parts.push(`${escapeControls(key)}=${textValue(value)}`)
  }
  for (const [name, durationMs] of Object.entries(event.spansMs)) parts.push(`${escapeControls(name)}=${durationMs}ms`)
  const line = parts.join(" ")
  if (event.cause === undefined) return line
  const causeLines = boundedText(event.cause).split("\n")
  return [line, ...causeLines.map((causeLine) => `    ${escapeControls(causeLine)}`)].join("\n")
}

export const formatLine = (event: LogEvent, format: LogFormat, colors: boolean): string =>
  format === "json" ? jsonLine(event) : textLine(event, colors)

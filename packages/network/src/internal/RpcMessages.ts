/**
 * The messages of RPC as a host of calls reads and answers them, whoever carries the calls out.
 */
import type { FromServerEncoded } from "@effect/rpc/RpcMessage"

/** Number of the node that calls, set by the server. */
export const nodeHeader = "effectmq-node"
/** Where the node that calls is reached, as it says itself. */
export const addressHeader = "effectmq-address"
const addressLengthMax = 300

const shownMax = 60
const defectShownMax = 500

export const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}

export const isId = (value: unknown): value is string => typeof value === "string" && /^\d{1,20}$/.test(value)

const shown = (text: string): string => text.slice(0, shownMax).replace(/[^\x20-\x7e]/g, "?")

/** What the other did not say in a typed way, for the log. */
export const defectIn = (message: FromServerEncoded): string | undefined => {
  if (message._tag !== "Exit" || message.exit._tag !== "Failure") return undefined
  const { cause } = message.exit
  return cause._tag === "Die" ? JSON.stringify(cause.defect)?.slice(0, defectShownMax) : undefined
}

/** Undefined where it does not say so. */
export const addressIn = ({ headers }: Record<string, unknown>): string | undefined => {
  if (!Array.isArray(headers)) return undefined
  const found: unknown = headers.find((header) => Array.isArray(header) && header[0] === addressHeader)?.[1]
  return typeof found === "string" && found.length <= addressLengthMax ? found : undefined
}

export const failedExit = (requestId: string, defect: string): FromServerEncoded => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: { _tag: "Die", defect } }
})

export const unknownCall = (id: string, tag: string): FromServerEncoded =>
  failedExit(id, `${shown(tag)} is not known to this node`)

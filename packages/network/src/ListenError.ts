/** Why a listener could not begin. */
import * as Data from "effect/Data"
import type { TransportKind } from "./Connection.js"

export type ListenErrorReason =
  | "address-in-use"
  | "access-denied"
  | "address-not-available"
  | "certificate"
  | "invalid-options"
  | "other"

export class ListenError extends Data.TaggedError("ListenError")<{
  readonly kind: TransportKind
  readonly host: string
  readonly port: number
  readonly reason: ListenErrorReason
  readonly detail: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `cannot listen for ${this.kind} on ${this.host}:${this.port}: ${this.detail}`
  }
}

/** The system's answer to `listen`, in words for the one who configured it. */
export const listenErrorOf = (
  at: { readonly kind: TransportKind; readonly host: string; readonly port: number },
  cause: NodeJS.ErrnoException
): ListenError => {
  const { host, kind, port } = at
  switch (cause.code) {
    case "EADDRINUSE":
      return new ListenError({ kind, host, port, reason: "address-in-use", detail: "the port is taken (EADDRINUSE)", cause })
    case "EACCES":
      return new ListenError({ kind, host, port, reason: "access-denied", detail: "not allowed (EACCES)", cause })
    case "EADDRNOTAVAIL":
    case "ENOTFOUND": {
      const detail = `this host has no such address (${cause.code})`
      return new ListenError({ kind, host, port, reason: "address-not-available", detail, cause })
    }
    default:
      return new ListenError({ kind, host, port, reason: "other", detail: cause.message, cause })
  }
}

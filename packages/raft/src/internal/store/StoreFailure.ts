/**
 * Whatever goes wrong below a Raft store as one error that says what to do.
 */
import type { SqlError } from "@effect/sql/SqlError"
import { DiskError } from "@effectmq/storage/Disk"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { RaftStoreError } from "../../RaftStore.js"

type Reason = RaftStoreError["reason"]

/** Lets the store that is being opened be refused in words. */
export class Refusal {
  readonly _tag = "Refusal"
  constructor(
    readonly reason: Reason,
    readonly what: string
  ) {}
}

export const refuse = (reason: Reason, what: string): Effect.Effect<never, Refusal> => Effect.fail(new Refusal(reason, what))

const adviceOf = (filename: string): { readonly [R in Reason]: string } => ({
  io: "Check the device and the permissions of the directory, then start the node again.",
  full: "Free some space.",
  locked: "Another process has it open: stop that one, or use another data directory.",
  damaged:
    "In a cluster: remove this node from it, move the files " +
    `${filename}* away and add the node anew; it gets everything from the others. A node alone: restore all files ` +
    `${filename}* together from one backup.`,
  newer: "Start the release that wrote it, or a later one."
})

/** `SQLITE_ERROR`: a statement of ours does not fit what is in the file. `SHORT_READ`: the file ends within a page. */
const damageCodes = ["SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_IOERR_SHORT_READ"]

const reasonOf = (cause: unknown): Reason => {
  if (cause instanceof DiskError) return cause.code === "ENOSPC" ? "full" : cause.code === "ELOCKED" ? "locked" : "io"
  const code = String((cause as { readonly code?: unknown } | undefined)?.code ?? "")
  if (code.startsWith("SQLITE_FULL")) return "full"
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return "locked"
  return damageCodes.some((damage) => code.startsWith(damage)) ? "damaged" : "io"
}

export const storeError = (doing: string, filename: string, reason: Reason, what: string, cause?: unknown): RaftStoreError =>
  new RaftStoreError({ reason, message: `${doing} ${filename}: ${what}. ${adviceOf(filename)[reason]}`, cause })

/** The adapter's boundary: what SQLite, its driver or the disk answer or throw becomes one error. */
export const guarded = <A, R>(
  doing: string,
  filename: string,
  effect: Effect.Effect<A, SqlError | Refusal | DiskError | RaftStoreError, R>
): Effect.Effect<A, RaftStoreError, R> =>
  Effect.catchAllCause(effect, (cause) => {
    if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    const failure = Cause.squash(cause)
    if (failure instanceof RaftStoreError) return Effect.fail(failure)
    if (failure instanceof Refusal) return Effect.fail(storeError(doing, filename, failure.reason, failure.what))
    const driver =
      (failure as { readonly _tag?: unknown } | undefined)?._tag === "SqlError" ? (failure as SqlError).cause : failure
    const text = driver instanceof Error ? driver.message : String(driver)
    return Effect.fail(storeError(doing, filename, reasonOf(driver), text, driver))
  })

/** A call of the disk. */
export const onDisk = <A>(call: () => A | Promise<A>): Effect.Effect<A, DiskError> =>
  Effect.tryPromise({ try: async () => call(), catch: (cause) => cause as DiskError })

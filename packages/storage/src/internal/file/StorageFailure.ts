/**
 * How what a disk throws becomes the error of the storage port.
 */
import { DiskError, type DiskErrorCode } from "../../Disk.js"
import { OffsetOutOfRange, StorageError, type StorageErrorReason } from "../../StorageError.js"

const reasonByCode: Record<DiskErrorCode, StorageErrorReason> = { ENOSPC: "full", ELOCKED: "locked", EIO: "io", ENOENT: "io" }

/** Anything but an error of the disk or the port is a bug, and is thrown on. */
export const toStorageError = (action: string, cause: unknown): StorageError => {
  if (cause instanceof StorageError) return cause
  if (!(cause instanceof DiskError)) throw cause
  const message = cause.code === "ELOCKED" ? cause.message : `${action}: ${cause.message}`
  return new StorageError({ reason: reasonByCode[cause.code], message, cause })
}

/** The same for reads, which can also fail for the offset. */
export const toReadError = (cause: unknown): StorageError | OffsetOutOfRange =>
  cause instanceof OffsetOutOfRange ? cause : toStorageError("reading", cause)

export const isNoSpace = (cause: unknown): boolean =>
  (cause instanceof DiskError && cause.code === "ENOSPC") || (cause instanceof StorageError && cause.reason === "full")

export const corrupt = (message: string): StorageError => new StorageError({ reason: "corrupt", message })

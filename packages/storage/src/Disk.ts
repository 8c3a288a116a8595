/**
 * The port of the disk: the few file operations that the file engine stands on. Adapters: `NodeDisk`, and `SimulatedDisk`, which
 * fails, tears, flips and forgets on demand.
 *
 * Every method throws (or rejects with) `DiskError`. What is written is durable after `sync` of the file; that a file exists under
 * its name is durable after `syncDirectory`.
 */
import * as Context from "effect/Context"

/** `ENOSPC`: no room. `ENOENT`: no such file. `ELOCKED`: another process holds the directory. `EIO`: anything else. */
export type DiskErrorCode = "EIO" | "ENOSPC" | "ENOENT" | "ELOCKED"

export class DiskError extends Error {
  readonly _tag = "DiskError"
  override readonly name = "DiskError"

  constructor(
    readonly code: DiskErrorCode,
    message: string,
    cause?: unknown
  ) {
    super(message, { cause })
  }
}

/** An open file; only the disk that opened it looks inside. */
export interface DiskFile {
  readonly path: string
}

export interface DiskService {
  /** Makes a directory and those above it; nothing where it is there. */
  makeDirectory(path: string): void
  /** The names in a directory, in no order. */
  list(directory: string): ReadonlyArray<string>
  /** `write` reads too, and makes the file where it is not. */
  open(path: string, mode: "read" | "write"): DiskFile
  close(file: DiskFile): void
  sizeBytes(file: DiskFile): number
  /** Writes at once, into the system's cache; returns the bytes written, which may be fewer than asked. */
  writev(file: DiskFile, buffers: ReadonlyArray<Uint8Array>, position: number): number
  /** The same beside other work. */
  write(file: DiskFile, buffer: Uint8Array, position: number): Promise<number>
  /** Reads into `target`; returns the bytes read, 0 at the end of the file. */
  read(file: DiskFile, target: Uint8Array, position: number): Promise<number>
  sync(file: DiskFile): Promise<void>
  rename(from: string, to: string): void
  unlink(path: string): void
  syncDirectory(path: string): Promise<void>
  /**
   * Takes the directory for this process and returns how to give it back. The lock ends with the process, however it ends;
   * `ELOCKED` names the holder.
   */
  lock(directory: string): () => void
}

export class Disk extends Context.Tag("@effectmq/storage/Disk")<Disk, DiskService>() {}

/** Writes all of `buffer`, going on after short writes. */
export const writeFully = async (disk: DiskService, file: DiskFile, buffer: Uint8Array, position: number): Promise<void> => {
  for (let done = 0; done < buffer.length; ) {
    const count = await disk.write(file, done === 0 ? buffer : buffer.subarray(done), position + done)
    if (count <= 0) throw new DiskError("EIO", `nothing could be written to ${file.path}`)
    done += count
  }
}

/** Writes all of `buffers` at once, going on after short writes. */
export const writevFully = (disk: DiskService, file: DiskFile, buffers: ReadonlyArray<Uint8Array>, position: number): void => {
  let rest = buffers
  let at = position
  for (;;) {
    let count = disk.writev(file, rest, at)
    at += count
    let index = 0
    while (index < rest.length && count >= rest[index].length) count -= rest[index++].length
    if (index === rest.length) return
    if (index === 0 && count === 0) throw new DiskError("EIO", `nothing could be written to ${file.path}`)
    rest = [rest[index].subarray(count), ...rest.slice(index + 1)]
  }
}

/** Reads until `target` is full or the file ends; returns the bytes read. */
export const readFully = async (disk: DiskService, file: DiskFile, target: Uint8Array, position: number): Promise<number> => {
  let done = 0
  while (done < target.length) {
    const count = await disk.read(file, done === 0 ? target : target.subarray(done), position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** The whole of a file that is small; undefined where there is none. */
export const readWhole = async (disk: DiskService, path: string): Promise<Buffer | undefined> => {
  let file: DiskFile
  try {
    file = disk.open(path, "read")
  } catch (error) {
    if (error instanceof DiskError && error.code === "ENOENT") return undefined
    throw error
  }
  try {
    const bytes = Buffer.allocUnsafe(disk.sizeBytes(file))
    return bytes.subarray(0, await readFully(disk, file, bytes, 0))
  } finally {
    disk.close(file)
  }
}

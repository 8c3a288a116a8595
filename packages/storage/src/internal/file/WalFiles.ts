/**
 * The files of the write-ahead log: a few of one size, written one after another and reused in turn.
 *
 * A file is either part of the log (it has a sequence and waits until segments hold its content) or spare. All are filled with zeros
 * when they are made, so that a commit changes no metadata of the file system.
 */
import { join } from "node:path"
import { type DiskFile, type DiskService, writeFully } from "../../Disk.js"
import { encodeWalHeader, frameHeaderSizeBytes, walHeaderSizeBytes } from "./WalFrame.js"

const zerosBytes = 1024 * 1024

export class WalFile {
  /** Where the next frame goes; 0 while the header is not written. */
  position = 0
  /** Up to where the file is synced. */
  durable = 0
  /** True when nothing more may be written, because a failed write left bytes behind. */
  sealed = false

  constructor(
    readonly file: DiskFile,
    readonly sizeBytes: number,
    readonly sequence: number,
    public salt: number,
    readonly previousEnd: number
  ) {}

  header(): Buffer {
    return encodeWalHeader(this)
  }
}

export interface WalFilesOptions {
  readonly directory: string
  readonly fileBytes: number
  readonly filesMax: number
  readonly random: () => number
}

export class WalFiles {
  /** Files of the log before the current one, oldest first. */
  readonly older: Array<{ readonly file: DiskFile; readonly sizeBytes: number; readonly sequence: number }> = []
  readonly spares: Array<{ readonly file: DiskFile; readonly sizeBytes: number }> = []
  current: WalFile | undefined
  /** What the last file before `current` is and where its frames end; what the next one follows. */
  last = { sequence: 0, end: 0 }
  #preparing: Promise<void> | undefined
  #nextNumber = 1

  constructor(
    readonly disk: DiskService,
    readonly options: WalFilesOptions
  ) {}

  static pathOf(directory: string, number: number): string {
    return join(directory, `${String(number).padStart(8, "0")}.wal`)
  }

  /** Takes in a file that was there at the start: as part of the log where it has a sequence, else as spare. */
  adopt(file: DiskFile, sizeBytes: number, number: number, sequence: number | undefined): void {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1)
    if (sequence !== undefined) this.older.push({ file, sizeBytes, sequence })
    else this.spares.push({ file, sizeBytes })
  }

  salt(): number {
    return Math.floor(this.options.random() * 0x100000000) >>> 0
  }

  /** How many files there are or soon will be. */
  get count(): number {
    return this.older.length + this.spares.length + (this.current === undefined ? 0 : 1) + (this.#preparing === undefined ? 0 : 1)
  }

  /** Makes a spare file; rejects with the disk's error and leaves nothing behind. */
  prepare(): Promise<void> {
    this.#preparing ??= this.#prepare().finally(() => {
      this.#preparing = undefined
    })
    return this.#preparing
  }

  async #prepare(): Promise<void> {
    const { directory, fileBytes } = this.options
    const path = WalFiles.pathOf(directory, this.#nextNumber++)
    const file = this.disk.open(path, "write")
    try {
      const zeros = Buffer.alloc(Math.min(zerosBytes, fileBytes))
      for (let at = 0; at < fileBytes; at += zeros.length) {
        await writeFully(this.disk, file, zeros.subarray(0, Math.min(zeros.length, fileBytes - at)), at)
      }
      await writeFully(this.disk, file, encodeWalHeader({ sequence: 0, salt: this.salt(), previousEnd: 0 }), 0)
      await this.disk.sync(file)
      await this.disk.syncDirectory(directory)
    } catch (error) {
      this.disk.close(file)
      try {
        this.disk.unlink(path)
      } catch {
        // It is seen as spare, or without a header, at the next start.
      }
      throw error
    }
    this.spares.push({ file, sizeBytes: fileBytes })
  }

  /** Makes a spare the current file. There must be a spare, and what is current must be synced. */
  advance(): void {
    const spare = this.spares.shift()
    if (spare === undefined) throw new Error("there is no spare log file")
    if (this.current !== undefined) {
      this.older.push(this.current)
      this.last = { sequence: this.current.sequence, end: this.current.position }
    }
    this.current = new WalFile(spare.file, spare.sizeBytes, this.last.sequence + 1, this.salt(), this.last.end)
  }

  /** Writes and syncs the header of the current file, so that a catalog may name it. */
  async writeHeader(): Promise<void> {
    const current = this.current as WalFile
    await writeFully(this.disk, current.file, current.header(), 0)
    await this.disk.sync(current.file)
    current.position = walHeaderSizeBytes
    current.durable = walHeaderSizeBytes
  }

  /** Makes spares of the files whose sequence is below `sequence`. */
  release(sequence: number): void {
    while (this.older.length > 0 && this.older[0].sequence < sequence) {
      const { file, sizeBytes } = this.older.shift() as { file: DiskFile; sizeBytes: number }
      this.spares.push({ file, sizeBytes })
    }
  }

  /** Takes back, durably, that anything was written at the position of the current file. */
  async undoWrite(): Promise<void> {
    const current = this.current as WalFile
    const sizeBytes = current.position === 0 ? walHeaderSizeBytes : frameHeaderSizeBytes
    await writeFully(this.disk, current.file, Buffer.alloc(sizeBytes), current.position)
    await this.disk.sync(current.file)
    current.durable = current.position
    if (current.position === 0) current.salt = this.salt()
    else current.sealed = true
  }

  async close(): Promise<void> {
    await this.#preparing?.catch(() => undefined)
    const files = [...this.older, ...this.spares, ...(this.current === undefined ? [] : [this.current])]
    for (const { file } of files) this.disk.close(file)
  }
}

/**
 * The one log that all shards of a node share, with group commit: what arrives while a sync runs is written and synced together
 * when it is done.
 *
 * Invariants
 * - One write or sync at a time; entries become durable in the order of `append`.
 * - A failed sync, and a failed write other than for want of space, fences the log for good: it is never tried again.
 * - A write that found no space is taken back durably before anybody is told; only then may the log be used again.
 */
import type { DiskService } from "../../Disk.js"
import { writevFully } from "../../Disk.js"
import type { Durability } from "../../Shard.js"
import { StorageError } from "../../StorageError.js"
import { isNoSpace } from "./StorageFailure.js"
import type { WalFiles } from "./WalFiles.js"
import {
  alignFrame,
  type FrameFields,
  frameHeaderSizeBytes,
  frameKind,
  frameSizeBytes,
  walHeaderSizeBytes,
  writeFrameHeader
} from "./WalFrame.js"

export interface WalEntry extends FrameFields {
  readonly durability: Durability
}

export interface WalOwner<E extends WalEntry> {
  /** These are as durable as they asked to be. */
  stored(entries: ReadonlyArray<E>): void
  /** These, all that were not stored, are refused. Returns the ones to keep and write first when there is space again. */
  refused(entries: ReadonlyArray<E>, error: StorageError): Array<E>
  /** A file is full: the ones before want to be written behind and released. */
  rolled(): void
  synced(seconds: number, bytes: number): void
}

export interface WriteAheadLogOptions {
  /** A group is written when it has grown to this. */
  readonly groupBytesMax: number
  readonly filesMax: number
  readonly syncIntervalMs: number
}

/** Payloads up to this size are copied together; larger ones are written from where they are. */
const copyBytesMax = 16384
const noBytes = new Uint8Array(0)
const padding = Buffer.alloc(8)

export class WriteAheadLog<E extends WalEntry> {
  /** Why the log takes nothing: `full` can end, `fenced` and `closed` cannot. */
  error: StorageError | undefined
  gatheredBytes = 0
  #gathered: Array<E> = []
  #busy = false
  #scheduled = false
  #syncDue = false
  #syncing = false
  #fenceAfterSync: unknown
  #timer: NodeJS.Timeout | undefined
  #syncIntervalMs: number
  #wakeRoll: (() => void) | undefined
  #wakeClose: (() => void) | undefined
  #slab: Buffer
  readonly #pumpTask = () => {
    this.#scheduled = false
    this.#pump()
  }

  constructor(
    readonly disk: DiskService,
    readonly files: WalFiles,
    readonly options: WriteAheadLogOptions,
    readonly owner: WalOwner<E>
  ) {
    this.#syncIntervalMs = options.syncIntervalMs
    this.#slab = Buffer.allocUnsafeSlow(options.groupBytesMax + 65536)
  }

  /** The newest file whose place in the sequence is durable: where a catalog made now lets the log begin. */
  get cutSequence(): number {
    const current = this.files.current
    return current !== undefined && current.durable > 0 ? current.sequence : this.files.last.sequence
  }

  /** Adds an entry to the next group. The caller has looked at `error`. */
  append(entry: E): void {
    this.#gathered.push(entry)
    this.gatheredBytes += frameSizeBytes(entry.payload.length)
    if (this.#busy || this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#pumpTask)
  }

  #pump(): void {
    if (this.#busy || this.error !== undefined) return
    const current = this.files.current
    if (this.#gathered.length === 0) {
      if (this.#syncDue && current !== undefined && current.durable < current.position) this.#sync([])
      else this.#wakeClose?.()
      return
    }
    let count = 0
    let bytes = current?.position === 0 ? walHeaderSizeBytes : 0
    while (count < this.#gathered.length) {
      const size = frameSizeBytes(this.#gathered[count].payload.length)
      if (count > 0 && bytes + size > this.options.groupBytesMax) break
      bytes += size
      count++
    }
    if (current === undefined || current.sealed || current.position + bytes > current.sizeBytes) {
      this.#busy = true
      void this.#roll()
      return
    }
    const group = count === this.#gathered.length ? this.#gathered : this.#gathered.slice(0, count)
    this.#gathered = count === this.#gathered.length ? [] : this.#gathered.slice(count)
    try {
      this.#write(group)
    } catch (error) {
      void this.#writeFailed(group, error)
      return
    }
    this.gatheredBytes -= bytes - (current.position === 0 ? walHeaderSizeBytes : 0)
    current.position += bytes
    this.#written(group)
  }

  /** Writes a group at the position of the current file. */
  #write(group: ReadonlyArray<E>): void {
    const current = this.files.current as NonNullable<typeof this.files.current>
    const buffers: Array<Uint8Array> = current.position === 0 ? [current.header()] : []
    let slab = this.#slab
    let from = 0
    let at = 0
    for (const entry of group) {
      const payload = entry.payload
      const size = payload.length <= copyBytesMax ? frameSizeBytes(payload.length) : frameHeaderSizeBytes
      if (at + size > slab.length) {
        if (at > from) buffers.push(slab.subarray(from, at))
        slab = Buffer.allocUnsafeSlow(Math.max(this.#slab.length, size))
        from = 0
        at = 0
      }
      writeFrameHeader(slab, at, entry, current.salt, current.durable)
      at += frameHeaderSizeBytes
      if (payload.length <= copyBytesMax) {
        slab.set(payload, at)
        const end = from + alignFrame(at + payload.length - from)
        for (at += payload.length; at < end; at++) slab[at] = 0
      } else {
        buffers.push(slab.subarray(from, at), payload)
        const pad = alignFrame(payload.length) - payload.length
        if (pad > 0) buffers.push(padding.subarray(0, pad))
        from = at
      }
    }
    if (at > from) buffers.push(slab.subarray(from, at))
    writevFully(this.disk, current.file, buffers, current.position)
  }

  /** How late a sync may be from now on, of what waits for one too. */
  set syncIntervalMs(value: number) {
    this.#syncIntervalMs = value
    if (this.#timer !== undefined) this.#syncLater()
  }

  #syncLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#syncDue = true
      this.#pump()
    }, this.#syncIntervalMs)
  }

  #written(group: ReadonlyArray<E>): void {
    let syncing = group
    if (group.some((entry) => entry.durability !== "fsync")) {
      const stored = group.filter((entry) => entry.durability !== "fsync")
      if (this.#timer === undefined && stored.some((entry) => entry.durability === "interval")) {
        this.#syncLater()
      }
      syncing = group.filter((entry) => entry.durability === "fsync")
      this.#busy = true
      this.owner.stored(stored)
      this.#busy = false
    }
    if (syncing.length > 0 || this.#syncDue) this.#sync(syncing)
    else this.#pump()
  }

  #sync(group: ReadonlyArray<E>): void {
    const current = this.files.current as NonNullable<typeof this.files.current>
    const position = current.position
    const start = performance.now()
    this.#busy = true
    this.#syncing = true
    this.#syncDue = false
    this.disk.sync(current.file).then(
      () => {
        this.#syncing = false
        const bytes = position - current.durable
        current.durable = position
        this.owner.synced((performance.now() - start) / 1000, bytes)
        this.owner.stored(group)
        this.#busy = false
        if (this.#fenceAfterSync !== undefined) return this.#fence([], this.#fenceAfterSync)
        if (this.#gathered.length === 0 && this.error === undefined) this.#mark()
        this.#pump()
      },
      (error) => this.#fence(group, error)
    )
  }

  /** Notes, without waiting for it, that all so far is durable. */
  #mark(): void {
    const current = this.files.current as NonNullable<typeof this.files.current>
    if (current.sealed || current.position + frameHeaderSizeBytes > current.sizeBytes) return
    writeFrameHeader(this.#slab, 0, { kind: frameKind.mark, shardNumber: 0, payload: noBytes }, current.salt, current.durable)
    try {
      writevFully(this.disk, current.file, [this.#slab.subarray(0, frameHeaderSizeBytes)], current.position)
      current.position += frameHeaderSizeBytes
    } catch (error) {
      // Without space the next frame takes its place; a mark is shorter than any.
      if (!isNoSpace(error)) this.#fence([], error)
    }
  }

  /** Goes on in another file; waits for one where there are as many as may be. */
  async #roll(): Promise<void> {
    const files = this.files
    try {
      const current = files.current
      if (current !== undefined && current.durable < current.position) {
        await this.disk.sync(current.file)
        current.durable = current.position
      }
      while (files.spares.length === 0 && this.error === undefined) {
        if (files.count < this.options.filesMax) await files.prepare()
        else {
          const woken = new Promise<void>((resolve) => (this.#wakeRoll = resolve))
          this.owner.rolled()
          await woken
          this.#wakeRoll = undefined
        }
      }
      if (this.error !== undefined) {
        this.#busy = false
        this.#wakeClose?.()
        return
      }
      files.advance()
    } catch (error) {
      if (isNoSpace(error)) this.#full([], error)
      else this.#fence([], error)
      return
    }
    this.#busy = false
    this.owner.rolled()
    this.prepareSpare()
    this.#pump()
  }

  /** Makes a spare file beside other work, where there is none and one may be. */
  prepareSpare(): void {
    if (this.files.spares.length > 0 || this.files.count >= this.options.filesMax || this.error !== undefined) return
    this.files.prepare().then(
      () => this.#wakeRoll?.(),
      (error) => {
        // Want of space is told when the file is needed.
        if (!isNoSpace(error)) this.fence(error)
      }
    )
  }

  async #writeFailed(group: ReadonlyArray<E>, error: unknown): Promise<void> {
    if (!isNoSpace(error)) return this.#fence(group, error)
    this.#busy = true
    try {
      await this.files.undoWrite()
    } catch (undoError) {
      return this.#fence(group, undoError)
    }
    this.#full(group, error)
  }

  #full(group: ReadonlyArray<E>, cause: unknown): void {
    this.#refuse(group, new StorageError({ reason: "full", message: "no space for the write-ahead log", cause }))
  }

  #fence(group: ReadonlyArray<E>, cause: unknown): void {
    if (this.error?.reason === "fenced") return
    const message = "a write or sync of the log failed; it takes no more until the node is started again"
    this.#refuse(group, new StorageError({ reason: "fenced", message, cause }))
  }

  #refuse(group: ReadonlyArray<E>, error: StorageError): void {
    const entries = [...group, ...this.#gathered]
    this.error = error
    this.#gathered = []
    this.gatheredBytes = 0
    this.#busy = false
    this.#wakeRoll?.()
    const kept = this.owner.refused(entries, error)
    if (error.reason === "full") {
      this.#gathered = [...kept, ...this.#gathered]
      for (const entry of kept) this.gatheredBytes += frameSizeBytes(entry.payload.length)
    }
    this.#wakeClose?.()
  }

  /** Fences the log from outside: something else that must be durable could not be made so. */
  fence(cause: unknown): void {
    if (this.#syncing) this.#fenceAfterSync = cause
    else this.#fence([], cause)
  }

  /** Says that writing behind finds no space; where the log waits for a file, it is full. */
  noSpace(cause: unknown): void {
    if (this.#wakeRoll !== undefined && this.error === undefined) this.#full([], cause)
  }

  /** Makes spares of the files before `sequence`, whose content is safe elsewhere. */
  release(sequence: number): void {
    this.files.release(sequence)
    this.#wakeRoll?.()
  }

  /** Tries to take entries again after the log was full. */
  async resume(): Promise<void> {
    if (this.error?.reason !== "full" || this.#busy) return
    const current = this.files.current
    const fits = current !== undefined && !current.sealed && current.position === 0
    if (!fits && this.files.spares.length === 0) {
      if (this.files.count >= this.options.filesMax) return
      this.#busy = true
      try {
        await this.files.prepare()
      } catch (error) {
        this.#busy = false
        if (!isNoSpace(error)) this.#fence([], error)
        return
      }
      this.#busy = false
    }
    if (this.error?.reason !== "full") return
    this.error = undefined
    this.#pump()
  }

  /** Writes and syncs what is gathered, then takes no more. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#syncDue = true
    if (this.error === undefined) {
      const idle = new Promise<void>((resolve) => (this.#wakeClose = resolve))
      this.#pump()
      await idle
    }
    this.error ??= new StorageError({ reason: "closed", message: "the storage engine was closed" })
    await this.files.close()
  }
}

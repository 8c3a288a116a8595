/**
 * The file engine without Effect: shards over one write-ahead log, written behind into segments.
 *
 * Invariants
 * - Offsets are given in memory, become durable in log order, and are rolled back when the log refuses them.
 * - Only synced segments are named by the catalog, and log files are released only after the catalog that makes them needless.
 * - After a failed write or sync (other than for want of space) nothing is written any more; reads go on.
 */
import { join } from "node:path"
import type { ShardId } from "@effectmq/schemas/ShardId"
import { shardIdFromString, shardIdToString } from "@effectmq/schemas/ShardId"
import type { DiskService } from "../../Disk.js"
import type { ShardOptions } from "../../Shard.js"
import { StorageError } from "../../StorageError.js"
import { retentionCut } from "../Retention.js"
import { saveCatalog } from "./Catalog.js"
import { Compaction, wantsCompaction } from "./Compaction.js"
import { FileHandles } from "./FileHandles.js"
import type { FileLogOptions } from "./FileLogOptions.js"
import { FileShard, LogEntry, type ShardHost } from "./FileShard.js"
import type { Segment } from "./Segment.js"
import { SegmentReader } from "./SegmentReader.js"
import { SegmentTables } from "./SegmentTables.js"
import { SegmentWriter } from "./SegmentWriter.js"
import { isNoSpace } from "./StorageFailure.js"
import type { WalFiles } from "./WalFiles.js"
import { frameKind } from "./WalFrame.js"
import { type WalOwner, WriteAheadLog } from "./WriteAheadLog.js"
import { WriteBehind } from "./WriteBehind.js"

const noBytes = new Uint8Array(0)

export interface FileLogHooks {
  readonly now: () => number
  /** A sync of the log took this long and made so many bytes durable. */
  readonly synced: (seconds: number, bytes: number) => void
  /** A batch became as durable as it asked to be so long after it was appended. */
  readonly appended: (seconds: number) => void
}

export class FileLog implements ShardHost, WalOwner<LogEntry> {
  readonly shardsByName = new Map<string, FileShard>()
  readonly shardsByNumber = new Map<number, FileShard>()
  readonly wal: WriteAheadLog<LogEntry>
  readonly tables: SegmentTables
  readonly reader: SegmentReader
  readonly writeBehind: WriteBehind
  readonly batchBytesMax: number
  nextShardNumber = 1
  /** Where the log begins that the catalog on disk needs. */
  walSequence = 1
  readonly #handles: FileHandles
  readonly #writer: SegmentWriter
  readonly #compactionWriter: SegmentWriter
  readonly #compaction: Compaction
  readonly #segmentsDirectory: string
  #garbage: Array<Segment> = []
  #group = 0
  #checkpoint: Promise<void> | undefined
  #checkpointAgain = false
  #flushing: Promise<unknown> = Promise.resolve()
  #saving: Promise<unknown> = Promise.resolve()
  #cleaning: Promise<unknown> = Promise.resolve()
  #saveWanted = false
  #retryCheckpoint = false
  readonly #goOn = () => this.wal.error === undefined || this.wal.error.reason === "full"

  constructor(
    readonly disk: DiskService,
    readonly options: FileLogOptions,
    readonly files: WalFiles,
    readonly hooks: FileLogHooks
  ) {
    this.#segmentsDirectory = join(options.directory, "segments")
    this.#handles = new FileHandles(disk, options.openFilesMax)
    this.tables = new SegmentTables(disk, this.#handles, this.#segmentsDirectory, options.tablesMax)
    this.reader = new SegmentReader(this.tables)
    this.#writer = new SegmentWriter(disk, this.#handles, this.#segmentsDirectory, this.tables)
    this.#compactionWriter = new SegmentWriter(disk, this.#handles, this.#segmentsDirectory, this.tables)
    this.wal = new WriteAheadLog<LogEntry>(disk, files, { ...options, filesMax: options.walFilesMax }, this)
    this.writeBehind = new WriteBehind(this.#writer, { ...options, now: hooks.now }, this.#goOn)
    const compactionOptions = { ...options, segmentBytes: options.compactSegmentBytes, now: hooks.now }
    this.#compaction = new Compaction(this.#compactionWriter, this.tables, compactionOptions, this.#goOn)
    this.batchBytesMax = options.batchBytesMax
  }

  /** From now on: a sync that waits, and a segment that grows, follow as well. */
  configure(options: Pick<FileLogOptions, "syncIntervalMs" | "segmentBytes">): void {
    this.wal.syncIntervalMs = options.syncIntervalMs
    this.writeBehind.options.segmentBytes = options.segmentBytes
  }

  // Shards

  refusal(): StorageError | undefined {
    if (this.wal.error !== undefined) return this.wal.error
    const bytesMax = this.options.gatheredBytesMax
    if (this.wal.gatheredBytes < bytesMax) return undefined
    return new StorageError({ reason: "full", message: `${bytesMax} bytes wait to be written already` })
  }

  log(entry: LogEntry): void {
    this.wal.append(entry)
  }

  dirty(shard: FileShard): void {
    this.writeBehind.dirty.add(shard)
  }

  /** The shard of that name, made where it is not. Throws `StorageError`. */
  open(id: ShardId, options: ShardOptions): FileShard {
    const name = shardIdToString(id)
    const known = this.shardsByName.get(name)
    if (known !== undefined) {
      known.options = options
      return known
    }
    if (shardIdFromString(name) === undefined)
      throw new StorageError({ reason: "malformed", message: `${name} is no shard's name` })
    if (!this.#goOn()) throw this.wal.error as StorageError
    const shard = this.add(id, this.nextShardNumber, options)
    // Whatever is appended to it comes later in the log: there is nothing to wait for.
    this.log(new LogEntry(frameKind.created, shard, Buffer.from(name), "os", 0, 0, undefined))
    return shard
  }

  add(id: ShardId, number: number, options: ShardOptions): FileShard {
    const shard = new FileShard(this, id, number, options)
    this.shardsByName.set(shardIdToString(id), shard)
    this.shardsByNumber.set(number, shard)
    this.nextShardNumber = Math.max(this.nextShardNumber, number + 1)
    return shard
  }

  /** Removes a shard; resolves when that is durable. */
  remove(id: ShardId): Promise<void> {
    return new Promise((resolve, reject) => {
      const shard = this.shardsByName.get(shardIdToString(id))
      if (shard === undefined) return resolve()
      if (!this.#goOn()) return reject(this.wal.error)
      this.forget(shard)
      const done = (error: StorageError | undefined) =>
        error === undefined || error.reason === "full" ? resolve() : reject(error)
      this.log(new LogEntry(frameKind.removed, shard, noBytes, "fsync", 0, 0, done))
      if (this.wal.error !== undefined) resolve()
    })
  }

  forget(shard: FileShard): void {
    shard.removed = true
    this.shardsByName.delete(shardIdToString(shard.id))
    this.shardsByNumber.delete(shard.number)
    this.writeBehind.dirty.delete(shard)
    this.discard(shard.segments)
    shard.segments = []
  }

  // What the write-ahead log tells

  stored(entries: ReadonlyArray<LogEntry>): void {
    const group = ++this.#group
    const nowMs = performance.now()
    for (const entry of entries) {
      if (entry.kind !== frameKind.batch) continue
      this.hooks.appended((nowMs - entry.appendedAtMs) / 1000)
      entry.shard.committed = entry.endOffset
      if (entry.durability === "fsync") entry.shard.unsynced--
    }
    for (const entry of entries) {
      const done = entry.done
      if (done !== undefined) this.#guard(() => done(undefined, entry.baseOffset))
    }
    for (const { kind, shard } of entries) {
      if (kind !== frameKind.batch || shard.toldInGroup === group) continue
      shard.toldInGroup = group
      shard.tell(this.#guard)
    }
  }

  refused(entries: ReadonlyArray<LogEntry>, error: StorageError): Array<LogEntry> {
    const kept: Array<LogEntry> = []
    for (const entry of entries) {
      if (entry.kind === frameKind.batch) entry.shard.rollBack()
      // Whoever waits for one of these is told now; the log has it when there is space again.
      else kept.push(new LogEntry(entry.kind, entry.shard, entry.payload, entry.durability, 0, 0, undefined))
    }
    for (const entry of entries) {
      const done = entry.done
      if (done !== undefined) this.#guard(() => done(error, -1))
    }
    return kept
  }

  rolled(): void {
    void this.checkpoint()
  }

  synced(seconds: number, bytes: number): void {
    this.hooks.synced(seconds, bytes)
  }

  /** A listener that throws is a bug of its owner: it goes to the process's handler and harms nobody else here. */
  readonly #guard = (run: () => void): void => {
    try {
      run()
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }

  // Checkpoints and the catalog

  /** Writes everything behind and releases the log files before. Never rejects. */
  checkpoint(): Promise<void> {
    this.#checkpointAgain = true
    this.#checkpoint ??= this.#checkpoints().finally(() => {
      this.#checkpoint = undefined
      // Wanted again while the last one ended: whoever wants it may be waiting.
      if (this.#checkpointAgain && this.#goOn()) void this.checkpoint()
    })
    return this.#checkpoint
  }

  async #checkpoints(): Promise<void> {
    while (this.#checkpointAgain && this.#goOn()) {
      this.#checkpointAgain = false
      const cut = this.wal.cutSequence
      const done = await this.#durably(async () => {
        await this.#exclusively(() => this.writeBehind.flushAll())
        if (!this.#goOn()) return
        this.walSequence = Math.max(this.walSequence, cut)
        await this.#save()
        this.wal.release(this.walSequence)
      })
      this.#retryCheckpoint = !done
    }
  }

  /** Flushing, sealing and dropping what grows take turns. */
  #exclusively<A>(run: () => Promise<A>): Promise<A> {
    const result = this.#flushing.then(run)
    this.#flushing = result.catch(() => undefined)
    return result
  }

  /** Runs what must end durably: want of space is told by false, anything else fences the log. */
  async #durably(run: () => Promise<void>): Promise<boolean> {
    try {
      await run()
      return true
    } catch (error) {
      if (isNoSpace(error)) this.wal.noSpace(error)
      else this.wal.fence(error)
      return false
    }
  }

  discard(segments: ReadonlyArray<Segment>): void {
    for (const segment of segments) {
      segment.dropped = true
      this.tables.drop(segment)
      this.#garbage.push(segment)
    }
    if (segments.length === 0 || this.#saveWanted) return
    this.#saveWanted = true
    setImmediate(() => {
      if (this.#saveWanted && this.#goOn()) void this.#durably(() => this.#save())
    })
  }

  /** Swaps in a catalog of what is now, then removes the files that it does not name. One at a time. */
  #save(): Promise<void> {
    const result = this.#saving.then(async () => {
      if (!this.#goOn()) return
      this.#saveWanted = false
      const garbage = this.#garbage
      this.#garbage = []
      const catalog = {
        walSequence: this.walSequence,
        nextShardNumber: this.nextShardNumber,
        shards: [...this.shardsByNumber.values()].map((shard) => ({
          number: shard.number,
          name: shardIdToString(shard.id),
          startOffset: shard.start,
          storedOffset: shard.stored,
          segments: shard.segments
        }))
      }
      try {
        await saveCatalog(this.disk, this.options.directory, catalog, async () => {
          await this.#writer.syncDirectory()
          await this.#compactionWriter.syncDirectory()
        })
      } catch (error) {
        this.#garbage = [...garbage, ...this.#garbage]
        this.#saveWanted = true
        throw error
      }
      for (const segment of garbage) this.#unlink(segment)
    })
    this.#saving = result.catch(() => undefined)
    return result
  }

  #unlink(segment: Segment): void {
    for (const path of [segment.logPath(this.#segmentsDirectory), segment.indexPath(this.#segmentsDirectory)]) {
      this.#handles.drop(path)
      try {
        this.disk.unlink(path)
      } catch {
        // A file that no catalog names is removed at the next start.
      }
    }
  }

  /** To be called every second or so: tries again what found no space. */
  async tick(): Promise<void> {
    if (this.wal.error !== undefined && this.wal.error.reason !== "full") return
    if (this.#retryCheckpoint) await this.checkpoint()
    else if (this.#saveWanted) await this.#durably(() => this.#save())
    await this.wal.resume()
  }

  // Retention and compaction

  /** Retention and compaction of all shards; `all` also of what would not be worth it yet. Rejects with the first damage found. */
  clean(which: "due" | "all"): Promise<void> {
    const result = this.#cleaning.then(() => this.#clean(which))
    this.#cleaning = result.catch(() => undefined)
    return result
  }

  async #clean(which: "due" | "all"): Promise<void> {
    if (which === "all") await this.checkpoint()
    let failure: unknown
    for (const shard of [...this.shardsByNumber.values()]) {
      if (!this.#goOn()) break
      try {
        if (shard.options.cleanup === "delete") await this.#retain(shard)
        else await this.#compact(shard, which)
      } catch (error) {
        if (error instanceof StorageError && error.reason === "corrupt") failure ??= error
        else if (!(await this.#durably(() => Promise.reject(error)))) failure ??= error
      }
    }
    if (this.#saveWanted && this.#goOn()) await this.#durably(() => this.#save())
    if (failure !== undefined) throw failure
  }

  async #retain(shard: FileShard): Promise<void> {
    const { retentionMs, retentionBytes } = shard.options
    if (retentionMs === undefined && retentionBytes === undefined) return
    const nowMs = this.hooks.now()
    const runs = function* () {
      yield* shard.segments
      yield* shard.committedTail()
    }
    const cut = retentionCut(runs(), shard.sizeBytes(), { retentionMs, retentionBytes, nowMs })
    const growing = shard.segments[shard.segments.length - 1]
    if (growing !== undefined && !growing.sealed) {
      // What grows slowly is sealed in time, so that it can go when its time has come.
      const isOld = retentionMs !== undefined && nowMs - growing.openedAtMs > retentionMs / 4
      if (isOld || (cut !== undefined && cut >= growing.endOffset)) {
        await this.#exclusively(async () => {
          if (!growing.dropped && !growing.sealed) await this.writeBehind.seal(growing)
        })
      }
    }
    if (cut !== undefined && !shard.removed) shard.moveStart(cut)
  }

  async #compact(shard: FileShard, which: "due" | "all"): Promise<void> {
    const growing = shard.segments[shard.segments.length - 1]
    if (which === "all" && growing !== undefined && !growing.sealed) {
      await this.#exclusively(async () => {
        if (!growing.dropped && !growing.sealed) await this.writeBehind.seal(growing)
      })
    }
    if (wantsCompaction(shard)) await this.#compaction.run(shard)
  }

  /** Writes what is gathered, waits for what runs, and closes all files. */
  async close(): Promise<void> {
    await this.wal.close()
    await this.#cleaning
    await this.#checkpoint
    await this.#flushing
    await this.#saving
    this.#handles.close()
  }
}

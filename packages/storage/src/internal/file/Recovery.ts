/**
 * From the files of a directory to a running log: the catalog, then the frames of the write-ahead log from where the catalog says.
 *
 * Only the log's tail is read; segments and their indexes wait until somebody reads them. What was never synced and is torn is cut.
 * What was read is made durable before anything is built upon it.
 * Damage to what was synced is reported as `corrupt` and nothing is changed: the answer is a replica or a backup, not less data.
 */
import { join } from "node:path"
import { shardIdFromString } from "@effectmq/schemas/ShardId"
import { type DiskFile, type DiskService, readFully, writeFully } from "../../Disk.js"
import type { ShardOptions } from "../../Shard.js"
import { type Catalog, loadCatalog, saveCatalog } from "./Catalog.js"
import { FileLog, type FileLogHooks } from "./FileLog.js"
import type { FileLogOptions } from "./FileLogOptions.js"
import { corrupt, isNoSpace } from "./StorageFailure.js"
import { WalFiles } from "./WalFiles.js"
import { decodeWalHeader, frameKind, scanWal, type WalHeader, walHeaderSizeBytes } from "./WalFrame.js"

/** How a shard is kept until its owner opens it and says so. */
const optionsUntilOpened: ShardOptions = { durability: "fsync", cleanup: "delete" }

interface FoundFile {
  readonly file: DiskFile
  readonly number: number
  readonly sizeBytes: number
  readonly header: WalHeader | undefined
}

const findWalFiles = async (disk: DiskService, directory: string): Promise<Array<FoundFile>> => {
  const found: Array<FoundFile> = []
  for (const name of disk.list(directory)) {
    if (!/^\d{8}\.wal$/.test(name)) continue
    const file = disk.open(join(directory, name), "write")
    const head = Buffer.alloc(walHeaderSizeBytes)
    const count = await readFully(disk, file, head, 0)
    const header = count < walHeaderSizeBytes ? undefined : decodeWalHeader(head)
    found.push({ file, number: Number(name.slice(0, 8)), sizeBytes: disk.sizeBytes(file), header })
  }
  return found
}

/** Whether anything but a first start that did not get far leaves these files. */
const holdsData = async (
  disk: DiskService,
  found: ReadonlyArray<FoundFile>,
  segmentNames: ReadonlyArray<string>
): Promise<boolean> => {
  if (segmentNames.length > 0) return true
  for (const { file, header, sizeBytes } of found) {
    if (header === undefined || header.sequence === 0) continue
    const bytes = Buffer.allocUnsafe(sizeBytes)
    const count = await readFully(disk, file, bytes, 0)
    let frames = 0
    scanWal(bytes.subarray(0, count), header, undefined, () => frames++)
    if (frames > 0 || header.sequence > 1) return true
  }
  return false
}

class Replay {
  constructor(
    readonly log: FileLog,
    readonly catalog: Catalog
  ) {}

  frame(kind: number, number: number, payload: Buffer, where: () => string): void {
    const shard = this.log.shardsByNumber.get(number)
    if (kind === frameKind.mark) return
    if (kind === frameKind.created) {
      const name = payload.toString("utf8")
      const id = shardIdFromString(name)
      // A number that the catalog has passed and does not hold was removed later.
      if (shard !== undefined || number < this.catalog.nextShardNumber) return
      if (id === undefined || this.log.shardsByName.has(name)) throw corrupt(`the shard made at ${where()} has no fitting name`)
      this.log.add(id, number, optionsUntilOpened)
      return
    }
    if (shard === undefined) {
      if (number >= this.log.nextShardNumber) throw corrupt(`the frame at ${where()} is of a shard that was never made`)
      return
    }
    if (kind === frameKind.removed) this.log.forget(shard)
    else if (kind === frameKind.trimmed) shard.trimNow(Math.min(Number(payload.readBigInt64BE(0)), shard.committed))
    else if (kind !== frameKind.batch)
      throw corrupt(`the frame at ${where()} is of kind ${kind}, which this version does not know`)
    else if (!shard.replay(Buffer.from(payload))) throw corrupt(`the batch at ${where()} does not follow what its shard has`)
  }
}

const replayFile = async (disk: DiskService, found: FoundFile, next: WalHeader | undefined, replay: Replay): Promise<number> => {
  const header = found.header as WalHeader
  const bytes = Buffer.allocUnsafe(found.sizeBytes)
  const whole = bytes.subarray(0, await readFully(disk, found.file, bytes, 0))
  const path = found.file.path
  const scan = scanWal(whole, header, next?.previousEnd, (kind, number, start, end) =>
    replay.frame(kind, number, whole.subarray(start, end), () => `${start} of ${path}`)
  )
  if (scan.damagedAt !== undefined) throw corrupt(`${path} is damaged at ${scan.damagedAt}, in what was once synced`)
  // The end of the last file may be in the system's cache only, left by a process that was killed before a sync, or by a sync that
  // failed, after which the system takes it for synced. It is written once more and synced before anything is built upon it.
  if (next === undefined) {
    await writeFully(disk, found.file, whole.subarray(0, scan.end), 0)
    await disk.sync(found.file)
  }
  return scan.end
}

/** Removes what no catalog names, and makes sure that what it names is there. */
const settleSegments = (disk: DiskService, directory: string, catalog: Catalog): void => {
  const present = new Set(disk.list(directory))
  const wanted = new Set<string>()
  for (const shard of catalog.shards) {
    for (const segment of shard.segments) {
      wanted.add(`${segment.name}.log`).add(`${segment.name}.index`)
      if (!present.has(`${segment.name}.log`)) throw corrupt(`${segment.logPath(directory)} is missing`)
    }
  }
  for (const name of present) if (!wanted.has(name)) disk.unlink(join(directory, name))
}

const restore = (log: FileLog, catalog: Catalog): void => {
  for (const known of catalog.shards) {
    const id = shardIdFromString(known.name)
    if (id === undefined) throw corrupt(`the catalog names a shard ${known.name}`)
    const shard = log.add(id, known.number, optionsUntilOpened)
    shard.segments = [...known.segments]
    shard.start = known.startOffset
    shard.stored = known.storedOffset
    shard.committed = shard.stored
    shard.end = shard.stored
  }
  log.nextShardNumber = catalog.nextShardNumber
  log.walSequence = catalog.walSequence
}

/** The files of the log that count, oldest first and without a gap from the catalog's place on. */
const sequenceOf = (found: ReadonlyArray<FoundFile>, walSequence: number): Array<FoundFile> => {
  const files = found.filter((one) => (one.header?.sequence ?? 0) >= walSequence)
  files.sort((a, b) => (a.header as WalHeader).sequence - (b.header as WalHeader).sequence)
  files.forEach((one, index) => {
    if (one.header?.sequence !== walSequence + index)
      throw corrupt(`part ${walSequence + index} of the write-ahead log is missing`)
  })
  if (files.length === 0) throw corrupt(`part ${walSequence} of the write-ahead log is missing`)
  return files
}

/**
 * Opens the log of a directory, or begins one. The caller holds the directory's lock.
 *
 * Rejects with `StorageError` (`corrupt`) or `DiskError`.
 */
export const recover = async (
  disk: DiskService,
  options: FileLogOptions,
  hooks: FileLogHooks,
  random: () => number
): Promise<FileLog> => {
  const walDirectory = join(options.directory, "wal")
  disk.makeDirectory(walDirectory)
  disk.makeDirectory(join(options.directory, "segments"))
  const files = new WalFiles(disk, {
    directory: walDirectory,
    fileBytes: options.walFileBytes,
    filesMax: options.walFilesMax,
    random
  })
  const log = new FileLog(disk, options, files, hooks)
  const found = await findWalFiles(disk, walDirectory)
  try {
    return await build(disk, options, log, found)
  } catch (error) {
    for (const { file } of found) disk.close(file)
    throw error
  }
}

const build = async (disk: DiskService, options: FileLogOptions, log: FileLog, found: Array<FoundFile>): Promise<FileLog> => {
  const { files } = log
  const segmentsDirectory = join(options.directory, "segments")
  const catalog = await loadCatalog(disk, options.directory)
  if (catalog === undefined) {
    if (await holdsData(disk, found, disk.list(segmentsDirectory)))
      throw corrupt(`there is data in ${options.directory} but no catalog`)
    for (const { file } of found.splice(0)) {
      disk.close(file)
      disk.unlink(file.path)
    }
    await disk.syncDirectory(options.directory)
    await files.prepare()
    files.advance()
    await files.writeHeader()
    await saveCatalog(disk, options.directory, { walSequence: 1, nextShardNumber: 1, shards: [] })
    return log
  }
  restore(log, catalog)
  const sequence = sequenceOf(found, catalog.walSequence)
  await disk.syncDirectory(join(options.directory, "wal"))
  await disk.syncDirectory(segmentsDirectory)
  await disk.syncDirectory(options.directory)
  settleSegments(disk, segmentsDirectory, catalog)
  const replay = new Replay(log, catalog)
  let end = 0
  for (const [index, one] of sequence.entries()) end = await replayFile(disk, one, sequence[index + 1]?.header, replay)
  for (const shard of log.shardsByNumber.values()) shard.replayed()
  for (const one of sequence) files.adopt(one.file, one.sizeBytes, one.number, (one.header as WalHeader).sequence)
  for (const one of found) {
    if (sequence.includes(one)) continue
    if (one.sizeBytes === options.walFileBytes) files.adopt(one.file, one.sizeBytes, one.number, undefined)
    else {
      disk.close(one.file)
      disk.unlink(one.file.path)
    }
  }
  files.last = { sequence: (sequence[sequence.length - 1].header as WalHeader).sequence, end }
  if (files.spares.length === 0 && files.count < options.walFilesMax) {
    await files.prepare().catch((error) => {
      // Without space the log opens full, for readers.
      if (!isNoSpace(error)) throw error
    })
  }
  if (sequence.length > 1) void log.checkpoint()
  return log
}

/**
 * What segments there are, as of the last checkpoint: a small file, written anew and swapped in whole.
 *
 * Text: the CRC-32C of what follows in hexadecimal, a line break, and JSON. Everything newer is in the write-ahead log from file
 * `walSequence` on; replaying it over the catalog gives the state at the crash, and replaying more than is needed changes nothing.
 */
import { join } from "node:path"
import { crc32c } from "@effectmq/bytes/Crc32c"
import { type DiskService, readWhole, writeFully } from "../../Disk.js"
import { Segment } from "./Segment.js"
import { corrupt } from "./StorageFailure.js"

const format = 1

export interface CatalogShard {
  readonly number: number
  /** `<tenant>/<topic>/<partition>` */
  readonly name: string
  readonly startOffset: number
  /** What lies before is in segments, or gone. */
  readonly storedOffset: number
  readonly segments: ReadonlyArray<Segment>
}

export interface Catalog {
  readonly walSequence: number
  readonly nextShardNumber: number
  readonly shards: ReadonlyArray<CatalogShard>
}

/** A segment as a row: base, end, generation, bytes, index bytes, max timestamp, opened at, sealed, clean. */
type SegmentRow = readonly [number, number, number, number, number, number, number, 0 | 1, 0 | 1]
type ShardRow = readonly [number: number, name: string, start: number, stored: number, segments: ReadonlyArray<SegmentRow>]

interface CatalogText {
  readonly format: number
  readonly walSequence: number
  readonly nextShardNumber: number
  readonly shards: ReadonlyArray<ShardRow>
}

const segmentToRow = (segment: Segment): SegmentRow => [
  segment.baseOffset,
  segment.endOffset,
  segment.generation,
  segment.sizeBytes,
  segment.indexBytes,
  segment.maxTimestampMs,
  segment.openedAtMs,
  segment.sealed ? 1 : 0,
  segment.clean ? 1 : 0
]

const segmentFromRow = (shardNumber: number, row: SegmentRow): Segment => {
  const segment = new Segment(shardNumber, row[0], row[2], row[6])
  segment.endOffset = row[1]
  segment.sizeBytes = row[3]
  segment.indexBytes = row[4]
  segment.maxTimestampMs = row[5]
  segment.sealed = row[7] === 1
  segment.clean = row[8] === 1
  return segment
}

export const encodeCatalog = (catalog: Catalog): Buffer => {
  const text: CatalogText = {
    format,
    walSequence: catalog.walSequence,
    nextShardNumber: catalog.nextShardNumber,
    shards: catalog.shards.map((shard) => [
      shard.number,
      shard.name,
      shard.startOffset,
      shard.storedOffset,
      shard.segments.map(segmentToRow)
    ])
  }
  const json = Buffer.from(JSON.stringify(text))
  return Buffer.concat([Buffer.from(`${crc32c(json).toString(16).padStart(8, "0")}\n`), json])
}

/** Throws `corrupt` where the text is not what was written. */
export const decodeCatalog = (bytes: Buffer): Catalog => {
  if (bytes.length < 9 || bytes.toString("latin1", 0, 8) !== crc32c(bytes, 9).toString(16).padStart(8, "0")) {
    throw corrupt("the catalog fails its checksum")
  }
  const text = JSON.parse(bytes.toString("utf8", 9)) as CatalogText
  if (text.format !== format) throw corrupt(`the catalog has format ${text.format}, this version reads ${format}`)
  return {
    walSequence: text.walSequence,
    nextShardNumber: text.nextShardNumber,
    shards: text.shards.map(([number, name, startOffset, storedOffset, segments]) => ({
      number,
      name,
      startOffset,
      storedOffset,
      segments: segments.map((row) => segmentFromRow(number, row))
    }))
  }
}

export const loadCatalog = async (disk: DiskService, directory: string): Promise<Catalog | undefined> => {
  const bytes = await readWhole(disk, join(directory, "catalog"))
  return bytes === undefined ? undefined : decodeCatalog(bytes)
}

/** Swaps the catalog in, durably; `before` makes durable what it names. The catalog is encoded at once. */
export const saveCatalog = async (
  disk: DiskService,
  directory: string,
  catalog: Catalog,
  before: () => Promise<void> = () => Promise.resolve()
): Promise<void> => {
  const temporary = join(directory, "catalog.new")
  const bytes = encodeCatalog(catalog)
  await before()
  try {
    disk.unlink(temporary)
  } catch {
    // What a failed try left is there seldom; where it stays, writing over it fails as well or its length shows.
  }
  const file = disk.open(temporary, "write")
  try {
    await writeFully(disk, file, bytes, 0)
    await disk.sync(file)
  } finally {
    disk.close(file)
  }
  disk.rename(temporary, join(directory, "catalog"))
  await disk.syncDirectory(directory)
}

/**
 * A small file beside the database that says what was acknowledged, so that a store that lost some of it at its end is known: SQLite
 * takes a damaged write-ahead log for one that ends earlier.
 *
 * It is written in place after each commit and not synced: it never says more than what is durable. After a crash of the process
 * it says exactly what was acknowledged, or one write less; after a power loss it is a lower bound.
 *
 * Two sectors of 512 bytes are written in turn, so that one survives a torn write of the other:
 *
 *     "EMQw" | format (u8, 1) | store id (16) | sequence (i64) | checksum of that write (u32) | CRC-32C of all before (u32)
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { crc32c } from "@effectmq/bytes/Crc32c"
import { type DiskFile, type DiskService, readFully, writevFully } from "@effectmq/storage/Disk"

const sectorBytes = 512
const sectors = 2
const magic = "EMQw"
const format = 1
const idBytes = 16
const contentBytes = magic.length + 1 + idBytes + 8 + 4

export interface Testimony {
  readonly storeId: string
  readonly sequence: number
  /** Of that write. */
  readonly checksum: number
}

const encode = (testimony: Testimony): Buffer => {
  const writer = new ByteWriter({ sizeBytes: sectorBytes })
  writer.utf8(magic)
  writer.uint8(format)
  writer.bytes(Buffer.from(testimony.storeId, "hex"))
  writer.int64(testimony.sequence)
  writer.uint32(testimony.checksum)
  writer.uint32(crc32c(writer.buffer, 0, writer.position))
  return writer.copy()
}

const decode = (bytes: Uint8Array): Testimony | undefined => {
  if (bytes.length < contentBytes + 4) return undefined
  if (crc32c(bytes, 0, contentBytes) !== new ByteReader(bytes, contentBytes).uint32()) return undefined
  const reader = new ByteReader(bytes)
  if (reader.utf8(magic.length) !== magic || reader.uint8() !== format) return undefined
  return { storeId: reader.bytes(idBytes).toString("hex"), sequence: reader.int64(), checksum: reader.uint32() }
}

/** The newest testimony in the file; undefined where no sector is whole. */
export const readWitness = async (disk: DiskService, path: string): Promise<Testimony | undefined> => {
  const file = disk.open(path, "read")
  try {
    const found: Array<Testimony> = []
    for (let sector = 0; sector < sectors; sector++) {
      const bytes = Buffer.alloc(contentBytes + 4)
      const count = await readFully(disk, file, bytes, sector * sectorBytes)
      const testimony = decode(bytes.subarray(0, count))
      if (testimony !== undefined) found.push(testimony)
    }
    return found.sort((one, other) => other.sequence - one.sequence)[0]
  } finally {
    disk.close(file)
  }
}

/** An open witness. */
export class Witness {
  private readonly file: DiskFile

  constructor(
    private readonly disk: DiskService,
    path: string
  ) {
    this.file = disk.open(path, "write")
  }

  /** Into the system's cache, at once. */
  write(testimony: Testimony): void {
    writevFully(this.disk, this.file, [encode(testimony)], (testimony.sequence % sectors) * sectorBytes)
  }

  sync(): Promise<void> {
    return this.disk.sync(this.file)
  }

  close(): void {
    this.disk.close(this.file)
  }
}

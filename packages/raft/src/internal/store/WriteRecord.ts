/**
 * One row of the durable log: all that one `persist` wrote, and what else holds from then on. The newest row says everything but
 * the older entries. Frozen: `schemas/golden/raft-write-record-1.bin`.
 *
 * | field             | type            |                                                                    |
 * | ----------------- | --------------- | ------------------------------------------------------------------ |
 * | format            | u8              | 1                                                                  |
 * | sequence          | varlong         | rises by one with every write of the store                         |
 * | previous checksum | u32             | of the row before; what the first row says counts for nothing      |
 * | term              | varlong         |                                                                    |
 * | voted for         | varlong         |                                                                    |
 * | commit index      | varlong         |                                                                    |
 * | first slot        | varlong         | rows before it are garbage                                         |
 * | first index       | varlong         | entries before it are forgotten                                    |
 * | snapshot          | varlong         | id of the newest complete one, 0 for none; others are garbage      |
 * | entries           | unsigned varint | how many                                                           |
 * | index             | varlong         | of the first of them: what is at and behind it is replaced         |
 * | each entry        | EntryBytes      |                                                                    |
 * | checksum          | u32             | CRC-32C of all before, going on from that of the store's id        |
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import type { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { BytesError } from "@effectmq/bytes/BytesError"
import { crc32c } from "@effectmq/bytes/Crc32c"
import type { Entry } from "@effectmq/schemas/raft/Entry"
import { readEntry, writeEntry } from "@effectmq/schemas/raft/EntryBytes"
import type { HardState } from "../../RaftStore.js"

const format = 1

export interface WriteRecord {
  readonly sequence: number
  readonly previousChecksum: number
  readonly hardState: HardState
  readonly firstSlot: number
  readonly firstIndex: number
  readonly snapshotId: number
  readonly entries: ReadonlyArray<Entry>
}

/** With it begins every checksum of a store: what another store wrote does not pass here. */
export const storeChecksum = (storeId: string): number => crc32c(Buffer.from(storeId))

/** Into an empty writer; answers the checksum. */
export const encodeWrite = (writer: ByteWriter, start: number, record: WriteRecord): number => {
  writer.uint8(format)
  writer.varlong(record.sequence)
  writer.uint32(record.previousChecksum)
  writer.varlong(record.hardState.term)
  writer.varlong(record.hardState.votedFor)
  writer.varlong(record.hardState.commitIndex)
  writer.varlong(record.firstSlot)
  writer.varlong(record.firstIndex)
  writer.varlong(record.snapshotId)
  writer.unsignedVarint(record.entries.length)
  if (record.entries.length > 0) writer.varlong(record.entries[0].index)
  for (const entry of record.entries) writeEntry(writer, entry)
  const checksum = crc32c(writer.buffer, 0, writer.position, start)
  writer.uint32(checksum)
  return checksum
}

/** A row and its checksum, or in words what is wrong with it. The data of commands is not copied. */
export const decodeWrite = (content: Uint8Array, start: number): (WriteRecord & { readonly checksum: number }) | string => {
  const end = content.length - 4
  if (end < 1) return "is too short"
  const checksum = new ByteReader(content, end).uint32()
  if (crc32c(content, 0, end, start) !== checksum) return "does not match its checksum"
  try {
    const reader = new ByteReader(content, 0, end)
    const found = reader.uint8()
    if (found !== format) return `has the unknown form ${found}`
    const sequence = reader.varlong()
    const previousChecksum = reader.uint32()
    const hardState = { term: reader.varlong(), votedFor: reader.varlong(), commitIndex: reader.varlong() }
    const firstSlot = reader.varlong()
    const firstIndex = reader.varlong()
    const snapshotId = reader.varlong()
    const count = reader.unsignedVarint()
    const index = count > 0 ? reader.varlong() : 0
    const entries: Array<Entry> = []
    while (entries.length < count) entries.push(readEntry(reader, index + entries.length))
    if (reader.remaining > 0) return "goes on behind its end"
    return { sequence, previousChecksum, hardState, firstSlot, firstIndex, snapshotId, entries, checksum }
  } catch (error) {
    if (error instanceof BytesError) return error.message
    throw error
  }
}

/**
 * Takes records out of a batch; those that stay keep their offsets and timestamps.
 */
import { batchHeaderSizeBytes, batchRecordCount, batchSizeBytes, sealBatch } from "@effectmq/schemas/record/RecordBatch"
import type { RecordCursor } from "@effectmq/schemas/record/RecordCursor"

/**
 * The batch that begins at `start` with only the records that `keep` says yes to: the bytes themselves where all stay, undefined where
 * none does. Throws `BytesError` where the records cannot be read.
 */
export const compactBatch = (
  bytes: Buffer,
  start: number,
  cursor: RecordCursor,
  keep: (record: RecordCursor) => boolean
): Buffer | undefined => {
  const end = start + batchSizeBytes(bytes, start)
  const ranges: Array<number> = []
  let count = 0
  let size = batchHeaderSizeBytes
  cursor.reset(bytes, start)
  while (cursor.next()) {
    if (!keep(cursor)) continue
    count++
    size += cursor.end - cursor.start
    if (ranges.length > 0 && ranges[ranges.length - 1] === cursor.start) ranges[ranges.length - 1] = cursor.end
    else ranges.push(cursor.start, cursor.end)
  }
  if (count === 0) return undefined
  if (count === batchRecordCount(bytes, start)) return bytes.subarray(start, end)
  const batch = Buffer.allocUnsafe(size)
  let at = bytes.copy(batch, 0, start, start + batchHeaderSizeBytes)
  for (let index = 0; index < ranges.length; index += 2) at += bytes.copy(batch, at, ranges[index], ranges[index + 1])
  sealBatch(batch, 0, size, count)
  return batch
}

/** Whether a record is still the newest of its key, and no tombstone that all have had time to see. */
export const isLive = (record: RecordCursor, newestByKey: ReadonlyMap<string, number>, tombstonesBeforeMs: number): boolean => {
  if (record.keyEnd < record.keyStart) return true
  const newest = newestByKey.get(record.bytes.toString("latin1", record.keyStart, record.keyEnd))
  if (newest !== undefined && newest > record.offset) return false
  return record.valueEnd >= record.valueStart || record.timestampMs >= tombstonesBeforeMs
}

/** Notes the newest offset of each key in a batch; a batch that cannot be read has none. */
export const noteKeys = (bytes: Uint8Array, start: number, cursor: RecordCursor, newestByKey: Map<string, number>): void => {
  cursor.reset(bytes, start)
  while (cursor.next()) {
    if (cursor.keyEnd >= cursor.keyStart)
      newestByKey.set(cursor.bytes.toString("latin1", cursor.keyStart, cursor.keyEnd), cursor.offset)
  }
}

import { readFileSync } from "node:fs"
import { crc32c } from "@node-rs/crc32"
import { BytesError } from "@effectmq/bytes/BytesError"
import {
  batchCompression,
  batchEndOffset,
  batchLayout,
  batchSizeBytes,
  readBatchHeader,
  setBaseOffset,
  setPartitionLeaderEpoch,
  validateBatch
} from "@effectmq/schemas/record/RecordBatch"
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { encodeHeaders, noHeaders } from "@effectmq/schemas/record/RecordHeaders"
import { forEachRecord, RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const golden = (name: string): Buffer =>
  Buffer.from(
    readFileSync(new URL(`../../golden/record/${name}.hex`, import.meta.url), "utf8")
      .replace(/#.*$/gm, "")
      .replace(/\s/g, ""),
    "hex"
  )

const data = fc.option(fc.uint8Array({ maxLength: 60 }), { nil: undefined })
const record = fc.record({
  timestampMs: fc.integer({ min: 0, max: 2 ** 42 }),
  key: data,
  value: data,
  headers: fc.array(fc.record({ name: fc.string({ unit: "binary", maxLength: 60 }), value: data }), { maxLength: 4 })
})

const plain = (batch: Uint8Array) => {
  const records: Array<unknown> = []
  forEachRecord(batch, (cursor) => {
    records.push({
      offset: cursor.offset,
      timestampMs: cursor.timestampMs,
      key: cursor.key && [...cursor.key],
      value: cursor.value && [...cursor.value],
      headers: cursor.headers().map((header) => ({ name: header.name, value: header.value && [...header.value] }))
    })
  })
  return records
}

const build = (records: ReadonlyArray<{ timestampMs: number; key?: Uint8Array | undefined; value?: Uint8Array | undefined }>) => {
  const builder = new RecordBatchBuilder()
  for (const one of records) builder.append(one.timestampMs, one.key, one.value)
  return builder.finish()
}

describe("record batch", () => {
  it("brings records back", () => {
    const builder = new RecordBatchBuilder({ sizeBytes: 1 })
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), fc.maxSafeInteger().map(Math.abs), (records, offset) => {
        const baseOffset = Math.min(offset, 2 ** 52)
        let sizeBytes = builder.sizeBytes
        records.forEach((one, index) => {
          expect(builder.append(one.timestampMs, one.key, one.value, one.headers)).toBe(index)
          expect(builder.sizeBytes).toBeGreaterThan(sizeBytes)
          sizeBytes = builder.sizeBytes
        })
        expect(builder.count).toBe(records.length)
        const batch = builder.finish()
        expect(builder.count).toBe(0)
        expect(batch.length).toBe(sizeBytes)
        expect(validateBatch(batch)).toBeUndefined()
        setBaseOffset(batch, baseOffset)
        setPartitionLeaderEpoch(batch, 7)
        expect(validateBatch(batch)).toBeUndefined()
        expect(readBatchHeader(batch)).toMatchObject({
          baseOffset,
          sizeBytes,
          partitionLeaderEpoch: 7,
          magic: 2,
          compression: "none",
          transactional: false,
          control: false,
          lastOffsetDelta: records.length - 1,
          baseTimestampMs: records[0]?.timestampMs,
          maxTimestampMs: Math.max(...records.map((one) => one.timestampMs)),
          producerId: -1,
          producerEpoch: -1,
          baseSequence: -1,
          recordCount: records.length
        })
        expect(batchEndOffset(batch)).toBe(baseOffset + records.length)
        expect(plain(batch)).toEqual(
          records.map((one, index) => ({
            offset: baseOffset + index,
            timestampMs: one.timestampMs,
            key: one.key && [...one.key],
            value: one.value && [...one.value],
            headers: one.headers.map((header) => ({
              name: Buffer.from(header.name).toString(),
              value: header.value && [...header.value]
            }))
          }))
        )
      })
    )
  })

  it("stores text keys and header values as UTF-8, and values that are ranges", () => {
    const builder = new RecordBatchBuilder()
    const bytes = Buffer.from("--payload--")
    builder.appendRange(5, "über/topic", bytes, 2, 9, [{ name: "reply-to", value: "a/ü" }])
    builder.append(5, "long/".repeat(40), Buffer.alloc(300, 1))
    const batch = builder.finish({ baseOffset: 3, producerId: 9, producerEpoch: 2, baseSequence: 11, partitionLeaderEpoch: 4 })
    expect(readBatchHeader(batch)).toMatchObject({
      baseOffset: 3,
      producerId: 9,
      producerEpoch: 2,
      baseSequence: 11,
      partitionLeaderEpoch: 4
    })
    const cursor = new RecordCursor(batch)
    expect(cursor.next()).toBe(true)
    expect(cursor.key?.toString()).toBe("über/topic")
    expect(cursor.value?.toString()).toBe("payload")
    expect(cursor.headers()[0]?.value?.toString()).toBe("a/ü")
    expect(cursor.next()).toBe(true)
    expect(cursor.key?.length).toBe(200)
    expect(cursor.value?.length).toBe(300)
    expect(cursor.next()).toBe(false)
  })

  it("takes headers that are encoded already for what they are", () => {
    const headers = [
      { name: "emq-qos", value: "1" },
      { name: "über", value: Buffer.from([0, 255]) },
      { name: "nothing", value: undefined }
    ]
    const build = (given: typeof headers | Uint8Array) => {
      const builder = new RecordBatchBuilder()
      builder.append(5, "a", Buffer.from("b"), given)
      return builder.finish()
    }
    expect(build(encodeHeaders(headers)).equals(build(headers))).toBe(true)
    expect(build(noHeaders).equals(build([]))).toBe(true)
  })

  it("never writes to a batch it gave away", () => {
    const builder = new RecordBatchBuilder({ sizeBytes: 256 })
    const batches = Array.from({ length: 20 }, (_, index) => {
      for (let count = 0; count <= index; count++) builder.append(index, Buffer.alloc(index * 7, index), Buffer.alloc(3, index))
      return builder.finish()
    })
    for (const [index, batch] of batches.entries()) {
      expect(validateBatch(batch)).toBeUndefined()
      expect(
        batch.equals(
          build(
            Array.from({ length: index + 1 }, () => ({
              timestampMs: index,
              key: Buffer.alloc(index * 7, index),
              value: Buffer.alloc(3, index)
            }))
          )
        )
      ).toBe(true)
    }
  })

  it("keeps its bound and stays usable", () => {
    const builder = new RecordBatchBuilder({ sizeBytesMax: 200 })
    builder.append(1, undefined, Buffer.alloc(50))
    expect(() => builder.append(1, undefined, Buffer.alloc(100))).toThrow(BytesError)
    expect(builder.count).toBe(1)
    expect(plain(builder.finish())).toHaveLength(1)
    expect(() => builder.finish()).toThrow()
  })

  it("writes the golden bytes", () => {
    const builder = new RecordBatchBuilder()
    builder.append(1700000000000, "sensors/1", Buffer.from("21.5"), [
      { name: "content-type", value: "text/plain" },
      { name: "user.emq-x", value: undefined }
    ])
    builder.append(1700000000250, undefined, Buffer.alloc(0))
    builder.append(1699999999999, Buffer.from("gone"), undefined)
    const batch = builder.finish({ baseOffset: 4294967301, partitionLeaderEpoch: 3 })
    expect(batch.toString("hex")).toBe(golden("batch-v2").toString("hex"))
    expect(readBatchHeader(golden("batch-v2")).crc).toBe(crc32c(golden("batch-v2").subarray(batchLayout.attributes)))
  })

  it("finds every flipped bit of what the checksum covers, and every wrong length", () => {
    const batch = golden("batch-v2")
    for (let bit = batchLayout.magic * 8; bit < batch.length * 8; bit++) {
      const damaged = Buffer.from(batch)
      damaged[bit >>> 3] ^= 1 << (bit & 7)
      expect(validateBatch(damaged)).toBeDefined()
    }
    for (let end = 0; end < batch.length; end++) expect(validateBatch(batch, 0, end)).toBe("short")
    expect(validateBatch(Buffer.concat([batch, Buffer.alloc(1)]))).toBe("short")
    expect(validateBatch(Buffer.concat([Buffer.alloc(5), batch]), 5)).toBeUndefined()
  })

  it("refuses counts that do not agree, and accepts compaction's", () => {
    const batch = Buffer.from(golden("batch-v2"))
    batch.writeInt32BE(9, batchLayout.lastOffsetDelta)
    batch.writeUInt32BE(crc32c(batch.subarray(batchLayout.attributes)), batchLayout.crc)
    expect(validateBatch(batch)).toBe("count")
    expect(validateBatch(batch, 0, batch.length, "stored")).toBeUndefined()
  })

  it("refuses compressed batches by name", () => {
    const batch = Buffer.from(golden("batch-v2"))
    batch[batchLayout.attributes + 1] = 4
    expect(batchCompression(batch)).toBe("zstd")
    expect(() => forEachRecord(batch, () => {})).toThrow(/compression zstd/)
  })

  it("reads what is malformed inside a valid frame as BytesError and nothing else", () => {
    const batch = golden("batch-v2")
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 57, max: batch.length - 1 }), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const damaged = Buffer.from(batch)
          for (const [at, value] of changes) damaged[at] = value
          let visited = 0
          try {
            forEachRecord(damaged, (cursor) => {
              visited++
              cursor.headers()
              expect(cursor.end).toBeLessThanOrEqual(batchSizeBytes(damaged))
            })
          } catch (error) {
            expect(error).toBeInstanceOf(BytesError)
          }
          expect(visited).toBeLessThan(batch.length)
        }
      ),
      { numRuns: 2000 }
    )
  })

  it("stops where the visitor says", () => {
    let visited = 0
    forEachRecord(golden("batch-v2"), () => ++visited < 2)
    expect(visited).toBe(2)
  })
})

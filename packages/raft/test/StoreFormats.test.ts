/** The rows of the durable store: frozen bytes, and whatever is damaged is known. */
import { readFileSync } from "node:fs"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { describe, expect, it } from "vitest"
import { decodeChunk, decodeSnapshotMeta, encodeChunk, encodeSnapshotMeta } from "../src/internal/store/SnapshotRecord.js"
import { decodeWrite, encodeWrite, storeChecksum, type WriteRecord } from "../src/internal/store/WriteRecord.js"
import { chunksOf, command, members, snapshotOf } from "./support/StoreSamples.js"

const golden = (name: string): Buffer => readFileSync(new URL(`../../../schemas/golden/raft-${name}.bin`, import.meta.url))

const start = storeChecksum("0123456789abcdef0123456789abcdef")

const write: WriteRecord = {
  sequence: 2 ** 33,
  previousChecksum: 0xdeadbeef,
  hardState: { term: 12, votedFor: 3, commitIndex: 1_000_000 },
  firstSlot: 77,
  firstIndex: 900_001,
  snapshotId: 5,
  entries: [
    command(1_000_001, 12, '{"event":"one"}'),
    { kind: "noop", index: 1_000_002, term: 12 },
    { kind: "membership", index: 1_000_003, term: 12, membership: members }
  ]
}

const bytesOf = (record: WriteRecord): Buffer => {
  const writer = new ByteWriter()
  encodeWrite(writer, start, record)
  return writer.copy()
}

const snapshot = snapshotOf(900_000, 11, chunksOf("the first chunk", "the second"))
const data = Buffer.from("the second")

/** Every bit turned, one after another, and every shorter length. */
const damaged = function* (bytes: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const copy = Buffer.from(bytes)
    copy[bit >>> 3] ^= 1 << (bit & 7)
    yield copy
  }
  for (let length = 0; length < bytes.length; length++) yield bytes.subarray(0, length)
}

describe("rows of a Raft store", () => {
  it("have these bytes, for ever", () => {
    expect(bytesOf(write)).toEqual(golden("write-record-1"))
    expect(encodeSnapshotMeta(start, snapshot)).toEqual(golden("snapshot-record-1"))
    expect(encodeChunk(start, 5, 1, data)).toEqual(golden("snapshot-chunk-1"))
  })

  it("are read back from these bytes", () => {
    expect(decodeWrite(golden("write-record-1"), start)).toMatchObject(write)
    expect(decodeSnapshotMeta(golden("snapshot-record-1"), start)).toEqual(snapshot)
    expect(decodeChunk(golden("snapshot-chunk-1"), start, 5, 1)).toEqual(data)
    expect(decodeWrite(bytesOf({ ...write, entries: [] }), start)).toMatchObject({ ...write, entries: [] })
  })

  it("are known when they are damaged", () => {
    for (const bytes of damaged(golden("write-record-1"))) expect(decodeWrite(bytes, start)).toBeTypeOf("string")
    for (const bytes of damaged(golden("snapshot-record-1"))) expect(decodeSnapshotMeta(bytes, start)).toBeTypeOf("string")
    for (const bytes of damaged(golden("snapshot-chunk-1"))) expect(decodeChunk(bytes, start, 5, 1)).toBeUndefined()
  })

  it("do not pass in another store or another place", () => {
    const other = storeChecksum("1123456789abcdef0123456789abcdef")
    expect(decodeWrite(golden("write-record-1"), other)).toBeTypeOf("string")
    expect(decodeSnapshotMeta(golden("snapshot-record-1"), other)).toBeTypeOf("string")
    expect(decodeChunk(golden("snapshot-chunk-1"), other, 5, 1)).toBeUndefined()
    expect(decodeChunk(golden("snapshot-chunk-1"), start, 6, 1)).toBeUndefined()
    expect(decodeChunk(golden("snapshot-chunk-1"), start, 5, 0)).toBeUndefined()
  })
})

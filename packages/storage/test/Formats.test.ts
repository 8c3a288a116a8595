import { batchOf } from "./Support.js"
import { decodeCatalog, encodeCatalog } from "../src/internal/file/Catalog.js"
import { Segment } from "../src/internal/file/Segment.js"
import { ChunkBuilder, decodeChunk, decodeDetails } from "../src/internal/file/SegmentIndex.js"
import {
  decodeWalHeader,
  encodeWalHeader,
  frameKind,
  frameSizeBytes,
  scanWal,
  walHeaderSizeBytes,
  writeFrameHeader
} from "../src/internal/file/WalFrame.js"
import { describe, expect, it } from "vitest"

const bytesOf = (...lines: ReadonlyArray<string>) => Buffer.from(lines.join(""), "hex")

describe("formats on disk, frozen", () => {
  it("log file header", () => {
    const header = { sequence: 258, salt: 0xdeadbeef, previousEnd: 4096 }
    const half = "454d5157414c3031" + "0000000000000102" + "deadbeef" + "00001000"
    const bytes = encodeWalHeader(header)
    expect(bytes.length).toBe(walHeaderSizeBytes)
    expect(bytes.toString("hex", 0, 24)).toBe(half)
    expect(bytes.toString("hex", 24, 28)).toBe(bytes.toString("hex", 56, 60))
    expect(bytes.readUInt32BE(24)).toMatchInlineSnapshot(`2348414395`)
    expect(decodeWalHeader(bytes)).toEqual(header)
    for (let bit = 0; bit < 28 * 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >>> 3] ^= 1 << (bit & 7)
      expect(decodeWalHeader(damaged)).toEqual(header)
      damaged[32 + (bit >>> 3)] ^= 1 << (bit & 7)
      expect(decodeWalHeader(damaged)).toBeUndefined()
    }
  })

  it("log frame", () => {
    const frame = { kind: frameKind.created, shardNumber: 7, payload: Buffer.from("default/a/0") }
    const bytes = Buffer.alloc(walHeaderSizeBytes + frameSizeBytes(frame.payload.length))
    writeFrameHeader(bytes, walHeaderSizeBytes, frame, 0xcafe, 64)
    frame.payload.copy(bytes, walHeaderSizeBytes + 24)
    expect(bytes.toString("hex", walHeaderSizeBytes)).toMatchInlineSnapshot(
      `"d6a9b55e0000000b0000cafe00000007000000400200000064656661756c742f612f300000000000"`
    )
    const seen: Array<unknown> = []
    const header = { sequence: 1, salt: 0xcafe, previousEnd: 0 }
    const scan = scanWal(bytes, header, undefined, (kind, number, start, end) =>
      seen.push([kind, number, bytes.toString("utf8", start, end)])
    )
    expect(scan).toEqual({ end: bytes.length, damagedAt: undefined })
    expect(seen).toEqual([[2, 7, "default/a/0"]])
  })

  it("index block", () => {
    const builder = new ChunkBuilder()
    builder.begin(100)
    const first = batchOf([
      { key: "a", value: "1" },
      { key: "b", value: "2" }
    ])
    const second = batchOf([{ key: "b", value: "3" }])
    second.writeBigInt64BE(5n, 0)
    builder.add(first, 0, first.length)
    builder.add(second, 0, second.length)
    const block = builder.encode()
    expect(block.toString("hex")).toMatchInlineSnapshot(
      `"c85284890000005000000000000000000000000000000006000000000000006400000000000000f900000000000f424000000006fcae465701000080897a024f00024606010002016101000162020001"`
    )
    const decoded = decodeChunk(Buffer.concat([block, Buffer.alloc(9)]), 0)
    expect(decoded?.next).toBe(block.length)
    expect(decoded?.chunk).toEqual(builder.chunk(0, block))
    const chunk = builder.chunk(0, block)
    expect(chunk).toMatchObject({
      firstOffset: 0,
      endOffset: 6,
      start: 100,
      end: 100 + first.length + second.length,
      maxTimestampMs: 1_000_000
    })
    const details = decodeDetails(chunk, block.subarray(chunk.details?.position))
    expect(details?.batches.map((batch) => [batch.position, batch.baseOffset, batch.endOffset])).toEqual([
      [100, 0, 2],
      [100 + first.length, 5, 6]
    ])
    expect(details?.keys.map(({ key, ordinals }) => [key.toString(), ordinals])).toEqual([
      ["a", [0]],
      ["b", [0, 1]]
    ])
  })

  it("catalog", () => {
    const segment = new Segment(3, 10, 2, 1700000000000)
    Object.assign(segment, { endOffset: 20, sizeBytes: 300, indexBytes: 40, maxTimestampMs: 5, sealed: true, clean: true })
    const bytes = encodeCatalog({
      walSequence: 9,
      nextShardNumber: 4,
      shards: [{ number: 3, name: "default/a/0", startOffset: 11, storedOffset: 20, segments: [segment] }]
    })
    expect(bytes.toString()).toMatchInlineSnapshot(`
      "01582fd4
      {"format":1,"walSequence":9,"nextShardNumber":4,"shards":[[3,"default/a/0",11,20,[[10,20,2,300,40,5,1700000000000,1,1]]]]}"
    `)
    expect(decodeCatalog(bytes).shards[0]?.segments[0]).toEqual(segment)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] ^= 1
      if (at !== 8) expect(() => decodeCatalog(damaged)).toThrow(/catalog/)
    }
    expect(() => decodeCatalog(bytesOf("00"))).toThrow(/checksum/)
  })
})

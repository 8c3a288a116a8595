import { crc32c as crc32cNative } from "@node-rs/crc32"
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { BytesError } from "@effectmq/bytes/BytesError"
import { copyBytes } from "@effectmq/bytes/CopyBytes"
import { crc32c, crc32cSliced } from "@effectmq/bytes/Crc32c"
import { utf8SizeBytes, writeUtf8 } from "@effectmq/bytes/Utf8"
import { unsignedVarintSizeBytes, varintSizeBytes, varlongSizeBytes } from "@effectmq/bytes/Varint"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

describe("crc32c", () => {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  it.each([
    [Buffer.from("123456789"), 0xe3069283],
    [Buffer.alloc(32), 0x8a9136aa],
    [Buffer.alloc(32, 0xff), 0x62a8ab43],
    [Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
    [Buffer.from(Array.from({ length: 32 }, (_, index) => 31 - index)), 0x113fdb5c],
    [Buffer.alloc(0), 0]
  ])("gives the published value %#", (bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected)
    expect(crc32cSliced(bytes)).toBe(expected)
    expect(crc32cNative(bytes)).toBe(expected)
  })

  it("is the same by both ways, of a range, and in pieces", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(700), fc.nat(700), (bytes, a, b) => {
        const start = Math.min(a, b, bytes.length)
        const end = Math.min(Math.max(a, b), bytes.length)
        const expected = crc32cNative(bytes.slice(start, end))
        expect(crc32c(bytes, start, end)).toBe(expected)
        expect(crc32cSliced(bytes, start, end)).toBe(expected)
        const middle = start + Math.floor((end - start) / 3)
        expect(crc32c(bytes, middle, end, crc32c(bytes, start, middle))).toBe(expected)
      })
    )
  })
})

describe("copies", () => {
  const sources = [Buffer.allocUnsafe(300), new Uint8Array(300), Buffer.alloc(400_000)]
  for (const source of sources) for (let i = 0; i < source.length; i++) source[i] = i % 253

  it("are the range, whichever source came before", () => {
    const range = fc.record({ source: fc.constantFrom(...sources), a: fc.nat(300), b: fc.nat(300), at: fc.nat(10) })
    fc.assert(
      fc.property(fc.array(range), (ranges) => {
        for (const { source, a, b, at } of ranges) {
          const [start, end] = [Math.min(a, b), Math.max(a, b)]
          const target = Buffer.alloc(320, 0xff)
          expect(copyBytes(target, at, source, start, end)).toBe(at + end - start)
          expect(target.subarray(at, at + end - start).equals(source.subarray(start, end))).toBe(true)
          expect(target.subarray(0, at).every((byte) => byte === 0xff)).toBe(true)
          expect(target.subarray(at + end - start).every((byte) => byte === 0xff)).toBe(true)
        }
      })
    )
  })

  it("of texts are UTF-8, as long as was said", () => {
    const text = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: "binary", maxLength: 60 }))
    fc.assert(
      fc.property(text, (text) => {
        const expected = Buffer.from(text)
        const target = Buffer.alloc(expected.length + 8, 0xff)
        expect(utf8SizeBytes(text)).toBe(expected.length)
        expect(writeUtf8(target, 3, text, expected.length)).toBe(3 + expected.length)
        expect(target.subarray(3, 3 + expected.length).equals(expected)).toBe(true)
        expect(target.subarray(3 + expected.length).every((byte) => byte === 0xff)).toBe(true)
      })
    )
  })
})

describe("writer and reader", () => {
  const roundTrip = <A>(value: A, write: (writer: ByteWriter, value: A) => void, read: (reader: ByteReader) => A) => {
    const writer = new ByteWriter({ sizeBytes: 1 })
    writer.uint8(7)
    write(writer, value)
    const bytes = writer.copy()
    const reader = new ByteReader(bytes)
    expect(reader.uint8()).toBe(7)
    expect(read(reader)).toEqual(value)
    expect(reader.remaining).toBe(0)
    for (let end = 1; end < bytes.length; end++) expect(() => read(new ByteReader(bytes, 1, end))).toThrow(BytesError)
    return bytes.length - 1
  }
  const safe = fc.oneof(
    fc.maxSafeInteger(),
    fc.integer(),
    fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1)
  )

  it("brings numbers back and refuses to read them cut short", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.integer(), safe, (unsigned, signed, long) => {
        roundTrip(
          unsigned,
          (w, v) => w.uint32(v),
          (r) => r.uint32()
        )
        roundTrip(
          signed,
          (w, v) => w.uint32(v),
          (r) => r.int32()
        )
        roundTrip(
          unsigned & 0xffff,
          (w, v) => w.uint16(v),
          (r) => r.uint16()
        )
        roundTrip(
          (signed << 16) >> 16,
          (w, v) => w.uint16(v),
          (r) => r.int16()
        )
        roundTrip(
          (signed << 24) >> 24,
          (w, v) => w.uint8(v),
          (r) => r.int8()
        )
        roundTrip(
          long,
          (w, v) => w.int64(v),
          (r) => r.int64()
        )
        roundTrip(
          Math.abs(long),
          (w, v) => w.int64(v),
          (r) => r.uint64()
        )
        roundTrip(
          BigInt(long),
          (w, v) => w.int64(Number(v)),
          (r) => r.bigint64()
        )
        expect(
          roundTrip(
            unsigned,
            (w, v) => w.unsignedVarint(v),
            (r) => r.unsignedVarint()
          )
        ).toBe(unsignedVarintSizeBytes(unsigned))
        expect(
          roundTrip(
            signed,
            (w, v) => w.varint(v),
            (r) => r.varint()
          )
        ).toBe(varintSizeBytes(signed))
        expect(
          roundTrip(
            long,
            (w, v) => w.varlong(v),
            (r) => r.varlong()
          )
        ).toBe(varlongSizeBytes(long))
      })
    )
  })

  it("encodes varints as Kafka's records do", () => {
    const hex = (write: (writer: ByteWriter) => void) => {
      const writer = new ByteWriter()
      write(writer)
      return writer.copy().toString("hex")
    }
    expect(hex((w) => w.varint(0))).toBe("00")
    expect(hex((w) => w.varint(-1))).toBe("01")
    expect(hex((w) => w.varint(1))).toBe("02")
    expect(hex((w) => w.varint(64))).toBe("8001")
    expect(hex((w) => w.varint(2147483647))).toBe("feffffff0f")
    expect(hex((w) => w.varint(-2147483648))).toBe("ffffffff0f")
    expect(hex((w) => w.varlong(17179869183))).toBe("feffffff7f")
    expect(hex((w) => w.varlong(-17179869184))).toBe("ffffffff7f")
    expect(hex((w) => w.unsignedVarint(300))).toBe("ac02")
  })

  it("brings text and bytes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 80 }), fc.uint8Array({ maxLength: 80 }), (text, bytes) => {
        const writer = new ByteWriter({ sizeBytes: 4 })
        const count = writer.utf8(text)
        writer.bytes(bytes)
        writer.bytes(Buffer.from(bytes), 1, Math.max(1, bytes.length))
        const reader = new ByteReader(writer.view())
        expect(count).toBe(Buffer.byteLength(text))
        expect(reader.utf8(count)).toBe(text)
        expect([...reader.bytes(bytes.length)]).toEqual([...bytes])
        expect([...reader.bytes(reader.remaining)]).toEqual([...bytes.subarray(1)])
      })
    )
  })

  it("refuses varints that are too long", () => {
    expect(() => new ByteReader(Buffer.from("ffffffff1f", "hex")).unsignedVarint()).toThrow(BytesError)
    expect(() => new ByteReader(Buffer.from("ffffffffffff", "hex")).varint()).toThrow(BytesError)
    expect(() => new ByteReader(Buffer.from("ffffffffffffffffffff01", "hex")).varlong()).toThrow(BytesError)
    expect(() => new ByteReader(Buffer.from("7fffffffffffffff", "hex")).int64()).toThrow(BytesError)
  })

  it("does not grow past its bound, and starts anew after reset", () => {
    const writer = new ByteWriter({ sizeBytes: 2, sizeBytesMax: 6 })
    writer.uint32(1)
    expect(() => writer.uint32(2)).toThrow(BytesError)
    writer.reset()
    writer.uint32(3)
    writer.setUint32(0, 4)
    expect(writer.copy().toString("hex")).toBe("00000004")
    expect(() => new ByteReader(Buffer.alloc(2), 0, 3)).toThrow(BytesError)
  })
})

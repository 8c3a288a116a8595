/** Msgpack: the forms of the specification, values of every kind there and back, and bytes that are no value. */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { BytesError } from "@effectmq/bytes/BytesError"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { depthMax, readMsgpack, writeMsgpack } from "@effectmq/bytes/Msgpack"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const bytesOf = (value: unknown): Buffer => {
  const writer = new ByteWriter()
  writeMsgpack(writer, value)
  return writer.copy()
}

const valueOf = (bytes: Uint8Array): unknown => {
  const reader = new ByteReader(bytes)
  const value = readMsgpack(reader)
  expect(reader.remaining).toBe(0)
  return value
}

/** From the specification, and the edges of each form. */
const forms: ReadonlyArray<readonly [unknown, string]> = [
  [null, "c0"],
  [false, "c2"],
  [true, "c3"],
  [0, "00"],
  [127, "7f"],
  [128, "cc80"],
  [255, "ccff"],
  [256, "cd0100"],
  [65535, "cdffff"],
  [65536, "ce00010000"],
  [2 ** 32 - 1, "ceffffffff"],
  [2 ** 32, "cf0000000100000000"],
  [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
  [-1, "ff"],
  [-32, "e0"],
  [-33, "d0df"],
  [-128, "d080"],
  [-129, "d1ff7f"],
  [-32768, "d18000"],
  [-32769, "d2ffff7fff"],
  [-(2 ** 31), "d280000000"],
  [-(2 ** 31) - 1, "d3ffffffff7fffffff"],
  [Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
  [1.5, "cb3ff8000000000000"],
  [2 ** 53, "cb4340000000000000"],
  [-0, "cb8000000000000000"],
  ["", "a0"],
  ["a", "a161"],
  ["a".repeat(31), `bf${"61".repeat(31)}`],
  ["a".repeat(32), `d920${"61".repeat(32)}`],
  ["a".repeat(256), `da0100${"61".repeat(256)}`],
  ["a".repeat(65536), `db00010000${"61".repeat(65536)}`],
  ["ß", "a2c39f"],
  [Buffer.from("01", "hex"), "c40101"],
  [Buffer.alloc(256, 7), `c50100${"07".repeat(256)}`],
  [Buffer.alloc(65536, 7), `c600010000${"07".repeat(65536)}`],
  [[], "90"],
  [[1, [2]], "92019102"],
  [Array(16).fill(0), `dc0010${"00".repeat(16)}`],
  [Array(65536).fill(0), `dd00010000${"00".repeat(65536)}`],
  [{}, "80"],
  [{ compact: true, schema: 0 }, "82a7636f6d70616374c3a6736368656d6100"]
]

describe("msgpack", () => {
  it("has the forms of the specification", () => {
    for (const [value, hex] of forms) {
      expect(bytesOf(value).toString("hex")).toBe(hex)
      expect(valueOf(Buffer.from(hex, "hex"))).toEqual(value)
    }
    const keys = Object.fromEntries(Array.from({ length: 70_000 }, (_, at) => [`k${at}`, at]))
    expect(bytesOf(keys)[0]).toBe(0xdf)
    expect(valueOf(bytesOf(keys))).toEqual(keys)
    const few = Object.fromEntries(Object.entries(keys).slice(0, 16))
    expect(bytesOf(few)[0]).toBe(0xde)
    expect(valueOf(bytesOf(few))).toEqual(few)
  })

  it("leaves out keys without a value", () => {
    expect(valueOf(bytesOf({ a: undefined, b: [undefined] }))).toEqual({ b: [null] })
  })

  it("reads back what was written", () => {
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constantFrom(null, true, false),
        fc.double(),
        fc.maxSafeInteger(),
        fc.string({ unit: "grapheme" }),
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        fc.array(tie("value")),
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          tie("value"),
          { noNullPrototype: true }
        )
      )
    }))
    fc.assert(
      fc.property(value, (one) => {
        expect(valueOf(bytesOf(one))).toEqual(one)
      })
    )
  })

  it("does not write what has no form", () => {
    expect(() => bytesOf(1n)).toThrow(BytesError)
    expect(() => bytesOf(() => 1)).toThrow(BytesError)
  })

  it("refuses lengths that cannot be, extensions and strange keys", () => {
    for (const hex of ["ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "dcffff00", "c1", "c7", "d400", "8101c0"]) {
      expect(() => valueOf(Buffer.from(hex, "hex"))).toThrow(BytesError)
    }
    expect(() => valueOf(Buffer.from(`81a9${Buffer.from("__proto__").toString("hex")}c0`, "hex"))).toThrow("__proto__")
    expect(() => valueOf(Buffer.from("cfffffffffffffffff", "hex"))).toThrow("2^53")
  })

  it("refuses what is nested too deep, both ways", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])
    expect(valueOf(bytesOf(nested(depthMax)))).toEqual(nested(depthMax))
    expect(() => bytesOf(nested(depthMax + 1))).toThrow("nested")
    expect(() => readMsgpack(new ByteReader(Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.from([1])])))).toThrow("nested")
  })

  it("random bytes are a value or refused, and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          readMsgpack(new ByteReader(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(BytesError)
        }
      }),
      { numRuns: 5_000 }
    )
  })
})

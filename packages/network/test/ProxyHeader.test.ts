import { describe, expect, it } from "@effect/vitest"
import { parseProxyHeader, proxyHeaderRestBytesMax } from "@effectmq/network/core/ProxyHeader"
import fc from "fast-check"
import { isIPv6 } from "node:net"

const signature = "0d0a0d0a000d0a515549540a"
const hex = (...parts: ReadonlyArray<string>): Buffer => Buffer.from(parts.join(""), "hex")
const line = (text: string): Buffer => Buffer.from(text, "latin1")
const malformed = { kind: "malformed", detail: expect.any(String) }

describe("version 1", () => {
  const good: ReadonlyArray<readonly [string, object | undefined]> = [
    ["PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", { address: "192.0.2.1", port: 56_324 }],
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", { address: "255.255.255.255", port: 65_535 }],
    ["PROXY TCP6 2001:db8::1 ::1 0 443\r\n", { address: "2001:db8::1", port: 0 }],
    ["PROXY UNKNOWN\r\n", undefined],
    ["PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", undefined]
  ]
  for (const [text, source] of good)
    it(JSON.stringify(text), () => {
      const bytes = line(text)
      const header = { kind: "header", length: bytes.length, source }
      expect(parseProxyHeader(bytes)).toEqual(header)
      expect(parseProxyHeader(Buffer.concat([bytes, Buffer.from("\r\nmore")]))).toEqual(header)
      for (let cut = 0; cut < bytes.length; cut++)
        expect(parseProxyHeader(bytes.subarray(0, cut))).toEqual({ kind: "incomplete" })
    })

  for (const text of [
    "PROXY \r\n",
    "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
    "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
    "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
    "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
    "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
    `PROXY ${"x".repeat(101)}`
  ])
    it(`refuses ${JSON.stringify(text).slice(0, 60)}`, () => expect(parseProxyHeader(line(text))).toEqual(malformed))
})

it("a line has at most 107 bytes with its end", () => {
  const unknown = (bytes: number) => line(`PROXY UNKNOWN ${"x".repeat(bytes - 16)}\r\n`)
  expect(parseProxyHeader(unknown(107))).toEqual({ kind: "header", length: 107, source: undefined })
  expect(parseProxyHeader(unknown(107).subarray(0, 106))).toEqual({ kind: "incomplete" })
  expect(parseProxyHeader(unknown(108))).toEqual(malformed)
  expect(parseProxyHeader(unknown(108).subarray(0, 107))).toEqual(malformed)
})

describe("version 2", () => {
  const good: ReadonlyArray<readonly [string, Buffer, object | undefined]> = [
    ["TCP over IPv4", hex(signature, "2111000c", "c0000201", "c6336402", "dc04", "01bb"), { address: "192.0.2.1", port: 56_324 }],
    [
      "TCP over IPv6",
      hex(signature, "21210024", "20010db8000000000000000000000001", `${"00".repeat(15)}01`, "dc04", "01bb"),
      { address: "2001:db8::1", port: 56_324 }
    ],
    [
      "TLVs are skipped",
      hex(signature, "21110014", "c0000201", "c6336402", "dc04", "01bb", "0300040a0b0c0d", "00"),
      { address: "192.0.2.1", port: 56_324 }
    ],
    ["LOCAL", hex(signature, "20000000"), undefined],
    ["LOCAL with addresses", hex(signature, "2011000c", "c0000201", "c6336402", "dc04", "01bb"), undefined],
    ["unspecified family", hex(signature, "21000003", "aabbcc"), undefined],
    ["unix", hex(signature, "213100d8", "00".repeat(216)), undefined],
    ["as long as it may be", hex(signature, "2000", "1000", "00".repeat(proxyHeaderRestBytesMax)), undefined]
  ]
  for (const [name, bytes, source] of good)
    it(name, () => {
      const header = { kind: "header", length: bytes.length, source }
      expect(parseProxyHeader(bytes)).toEqual(header)
      expect(parseProxyHeader(Buffer.concat([bytes, Buffer.from("more")]))).toEqual(header)
      for (let cut = 0; cut < bytes.length; cut++)
        expect(parseProxyHeader(bytes.subarray(0, cut))).toEqual({ kind: "incomplete" })
    })

  const bad: ReadonlyArray<readonly [string, Buffer]> = [
    ["version 1 in binary", hex(signature, "11110000")],
    ["command 2", hex(signature, "22110000")],
    ["addresses cut short", hex(signature, "2111000b", "00".repeat(11))],
    ["IPv6 addresses cut short", hex(signature, "21210023", "00".repeat(35))],
    ["unix addresses cut short", hex(signature, "213100d7", "00".repeat(215))],
    ["datagrams", hex(signature, "2112000c", "00".repeat(12))],
    ["too long", hex(signature, "2111", (proxyHeaderRestBytesMax + 1).toString(16).padStart(4, "0"))]
  ]
  for (const [name, bytes] of bad) it(`refuses: ${name}`, () => expect(parseProxyHeader(bytes)).toEqual(malformed))

  it("writes IPv6 addresses as text that means the same", () => {
    const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
    fc.assert(
      fc.property(groups, (values) => {
        const source = values.map((value) => value.toString(16).padStart(4, "0")).join("")
        const header = parseProxyHeader(hex(signature, "21210024", source, "00".repeat(16), "00010002"))
        if (header.kind !== "header" || header.source === undefined) throw new Error("no source")
        const { address } = header.source
        expect(isIPv6(address)).toBe(true)
        const [left = "", right] = address.split("::")
        const head = left === "" ? [] : left.split(":")
        const tail = right === undefined || right === "" ? [] : right.split(":")
        const filled = right === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill("0"), ...tail]
        expect(filled.map((group) => Number.parseInt(group, 16))).toEqual(values)
      })
    )
  })
})

describe("whatever comes", () => {
  it("is told from a header by its first bytes", () => {
    expect(parseProxyHeader(Buffer.alloc(0))).toEqual({ kind: "incomplete" })
    for (const other of ["101200044d515454", "16030100", "474554202f", "5000", "0d0a0d0b", "50524f585a"])
      expect(parseProxyHeader(hex(other))).toEqual({ kind: "absent" })
  })

  it("never throws, and never reads past the header", () => {
    const starts = fc.constantFrom(line("PROXY "), hex(signature), hex(signature, "21"), line("PROXY TCP4 "), Buffer.alloc(0))
    fc.assert(
      fc.property(starts, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
        const bytes = Buffer.concat([start, rest])
        const header = parseProxyHeader(bytes)
        if (header.kind !== "header") return
        expect(header.length).toBeLessThanOrEqual(bytes.length)
        expect(parseProxyHeader(bytes.subarray(0, header.length))).toEqual(header)
        expect(parseProxyHeader(bytes.subarray(0, header.length - 1))).toEqual({ kind: "incomplete" })
      }),
      { numRuns: 5_000 }
    )
  })

  it("is bounded: a header that is not complete is short", () => {
    const bytes = fc.integer({ min: 0, max: 255 }).map((value) => Buffer.alloc(5_000, value))
    fc.assert(
      fc.property(fc.constantFrom(line("PROXY "), hex(signature, "2111")), bytes, (start, rest) => {
        expect(parseProxyHeader(Buffer.concat([start, rest])).kind).not.toBe("incomplete")
      })
    )
  })
})

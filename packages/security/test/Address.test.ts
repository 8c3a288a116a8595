import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { BlockList } from "node:net"
import { blockHolds, parseAddress, parseAddressBlock } from "../src/core/Address.js"

const hex = (text: string) => {
  const bytes = parseAddress(text)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex")
}

describe("Address", () => {
  it("reads both versions", () => {
    expect(hex("192.0.2.1")).toBe("c0000201")
    expect(hex("::ffff:192.0.2.1")).toBe("c0000201")
    expect(hex("::ffff:c000:201")).toBe("c0000201")
    expect(hex("2001:db8::1")).toBe("20010db8000000000000000000000001")
    expect(hex("::")).toBe("0".repeat(32))
    expect(hex("fe80::1%eth0")).toBe("fe800000000000000000000000000001")
    expect(hex("1:2:3:4:5:6:7:8")).toBe("00010002000300040005000600070008")
  })

  it("refuses what is no address", () => {
    for (const text of [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "256.1.1.1",
      "01.2.3.4",
      "1.2.3.x",
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7::8:9",
      "12345::",
      "::1.2.3",
      "1.2.3.4::",
      "localhost"
    ]) {
      expect(parseAddress(text), text).toBeUndefined()
    }
    for (const text of [
      "10.0.0.0/33",
      "10.0.0.0/-1",
      "10.0.0.0/",
      "10.0.0.0/08",
      "::/129",
      "::ffff:1.2.3.4/90",
      "10.0.0.0/8/8"
    ]) {
      expect(parseAddressBlock(text), text).toBeUndefined()
    }
  })

  it("never holds across versions", () => {
    const all4 = parseAddressBlock("0.0.0.0/0")
    const all6 = parseAddressBlock("::/0")
    expect(all4 && blockHolds(all4, parseAddress("1.2.3.4")!)).toBe(true)
    expect(all4 && blockHolds(all4, parseAddress("::1")!)).toBe(false)
    expect(all6 && blockHolds(all6, parseAddress("1.2.3.4")!)).toBe(false)
    expect(blockHolds(parseAddressBlock("::ffff:10.0.0.0/104")!, parseAddress("10.1.2.3")!)).toBe(true)
  })

  it("agrees with Node's own block list", () => {
    const near = (base: FastCheck.Arbitrary<string>) => FastCheck.tuple(base, base)
    const v4 = FastCheck.tuple(FastCheck.constantFrom(10, 11, 192), FastCheck.nat(3), FastCheck.nat(255), FastCheck.nat(255)).map(
      (parts) => parts.join(".")
    )
    const group = FastCheck.constantFrom("0", "1", "ff", "8000")
    const v6 = FastCheck.array(group, { minLength: 7, maxLength: 7 }).map((groups) => ["2001", ...groups].join(":"))
    const check = (family: "ipv4" | "ipv6", bitsMax: number, pair: FastCheck.Arbitrary<[string, string]>) =>
      FastCheck.assert(
        FastCheck.property(pair, FastCheck.integer({ min: 0, max: bitsMax }), ([network, address], bits) => {
          const list = new BlockList()
          list.addSubnet(network, bits, family)
          expect(blockHolds(parseAddressBlock(`${network}/${bits}`)!, parseAddress(address)!)).toBe(list.check(address, family))
        }),
        { numRuns: 500 }
      )
    check("ipv4", 32, near(v4))
    check("ipv6", 128, near(v6))
  })
})

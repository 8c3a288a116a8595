/** The pure parts beneath the state machine: chain, recent entries, and what is decided together. */
import { createHash } from "node:crypto"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apply } from "../src/core/apply.js"
import { decideOffers, type Offered } from "../src/core/decideOffers.js"
import { chainAfter, chainStart, entryData, entryLines, hashOfHex, hashToHex } from "../src/core/EntryChain.js"
import { emptyImage, type Image } from "../src/core/Image.js"
import { RecentEntries } from "../src/core/RecentEntries.js"
import { Table } from "../src/core/Table.js"
import { command, tenant } from "./commands.js"

describe("the chain", () => {
  it("is what its definition says", () => {
    const data = entryData(["a", "ö"])
    const bytes = Buffer.from("610ac3b6", "hex")
    expect(Buffer.from(data)).toEqual(bytes)
    expect(entryLines(data)).toEqual(["a", "ö"])
    expect(entryLines(new Uint8Array())).toEqual([])
    const numbers = Buffer.from("0000000000000007" + "00000004", "hex")
    const expected = createHash("sha256")
      .update(Buffer.concat([Buffer.alloc(32), numbers, bytes]))
      .digest("hex")
    expect(hashToHex(chainAfter(chainStart.hash, 7, data))).toBe(expected)
    expect(hashToHex(hashOfHex(expected) as Uint8Array)).toBe(expected)
    for (const wrong of ["", "zz", expected.slice(1), expected.toUpperCase()]) expect(hashOfHex(wrong)).toBeUndefined()
  })
})

describe("recent entries", () => {
  it("answer as a list of all entries does, for what they still have", () => {
    const entry = fc.record({ gap: fc.integer({ min: 1, max: 3 }), length: fc.nat(40) })
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 40, max: 400 }),
        fc.nat(100),
        (entries, entriesMax, bytesMax, asked) => {
          const recent = new RecentEntries(chainStart, { entriesMax, bytesMax })
          const all: Array<{ readonly index: number; readonly data: Uint8Array; readonly hash: Uint8Array }> = []
          let index = 0
          for (const { gap, length } of entries) {
            index += gap
            const data = new Uint8Array(length)
            const one = { index, data, hash: chainAfter(all.at(-1)?.hash ?? chainStart.hash, index, data) }
            all.push(one)
            recent.push(one)
          }
          const { floor } = recent
          const kept = all.filter((one) => one.index > floor.index)
          expect(kept.length).toBeLessThanOrEqual(entriesMax)
          expect(kept.reduce((sum, one) => sum + one.data.length, 0)).toBeLessThanOrEqual(bytesMax)
          const next = all[all.length - kept.length - 1]
          expect(floor).toEqual(next === undefined ? chainStart : { index: next.index, hash: next.hash })
          const behind = recent.behind(asked, 64)
          if (asked < floor.index) expect(behind).toBeUndefined()
          else {
            const rest = kept.filter((one) => one.index > asked)
            expect(behind).toEqual(rest.slice(0, behind?.length))
            expect(behind?.length === 0).toBe(rest.length === 0)
            const bytes = behind?.reduce((sum, one) => sum + one.data.length, 0) ?? 0
            expect(bytes <= 64 || behind?.length === 1).toBe(true)
          }
          const known = kept.find((one) => one.index === asked)?.hash ?? (asked === floor.index ? floor.hash : undefined)
          expect(recent.hashAt(asked)).toEqual(known)
        }
      ),
      { numRuns: 300 }
    )
  })

  it("stay correct over more entries than are kept in one piece", () => {
    const recent = new RecentEntries(chainStart, { entriesMax: 100, bytesMax: 1 << 20 })
    for (let index = 1; index <= 10_000; index++) recent.push({ index, data: new Uint8Array(1), hash: new Uint8Array([index]) })
    expect(recent.floor.index).toBe(9_900)
    expect(recent.behind(9_990, 1 << 20)?.map((entry) => entry.index)).toEqual([
      9991, 9992, 9993, 9994, 9995, 9996, 9997, 9998, 9999, 10000
    ])
  })
})

describe("commands decided together", () => {
  const begun: Image = apply(emptyImage, { _tag: "TenantCreated", tenant, quota: {}, createdAtMs: 1 }, 1)
  const offered = (name: string, basisVersion = 1): Offered => ({
    command: command("CreateTopic", { tenant, name }),
    basisVersion
  })

  it("stand on each other", () => {
    const decided = decideOffers(begun, [offered("a"), offered("a"), offered("b")])
    expect(decided.exits.map((exit) => exit._tag)).toEqual(["Success", "Failure", "Success"])
    expect(decided.after.topicsByName.size).toBe(2)
    expect(decided.lines).toHaveLength(4)
    expect(decided.after.version).toBe(begun.version + 4)
  })

  it("are as many as fit into an entry, at least one", () => {
    const limits = { entryLengthMax: 200, commandLengthMax: 1000 }
    const all = ["a", "b", "c", "d"].map((name) => offered(name))
    const first = decideOffers(begun, all, limits)
    expect(first.exits).toHaveLength(1)
    expect(decideOffers(first.after, all.slice(1), limits).exits).toHaveLength(1)
    const tooLarge = decideOffers(begun, all, { entryLengthMax: 300, commandLengthMax: 100 })
    expect(tooLarge.exits).toHaveLength(4)
    expect(tooLarge.after).toBe(begun)
    expect(tooLarge.exits[0]).toMatchObject({ cause: { error: { _tag: "LimitReached", max: 100 } } })
  })

  it("are not decided where they may have been applied and forgotten", () => {
    const reply = { version: 100 }
    const older = Table.empty<{ command: string; reply: { version: number } }>().set("old", { command: "SetConfig", reply })
    const image: Image = { ...begun, version: 200, recentCommands: { older, olderFrom: 100, newer: Table.empty(), newerFrom: 0 } }
    const late = decideOffers(image, [offered("a", 98)])
    expect(late.exits[0]).toMatchObject({ cause: { error: { _tag: "MetadataUnavailable", reason: "unknown" } } })
    expect(late.after).toBe(image)
    expect(decideOffers(image, [offered("a", 99)]).exits[0]?._tag).toBe("Success")
    const remembered = { command: command("SetConfig", { key: "k", value: 1, commandId: "old" }), basisVersion: 0 }
    expect(decideOffers(image, [remembered]).exits[0]).toMatchObject({ value: reply })
  })
})

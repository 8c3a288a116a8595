/** The bytes of metadata events, commands and errors are frozen: golden/ is written once per version and never edited. */
import { readFileSync } from "node:fs"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MetadataError } from "../src/errors/MetadataError.js"
import { metadataCommandCodec, metadataEventCodec } from "../src/metadata/MetadataCodec.js"
import { MetadataCommand } from "../src/metadata/MetadataCommand.js"
import { MetadataEvent } from "../src/metadata/MetadataEvent.js"
import { type Json, stableJson } from "../src/metadata/StableJson.js"
import { commands, errors, events } from "./metadataSamples.js"

const golden = (name: string): ReadonlyArray<string> =>
  readFileSync(new URL(`../golden/${name}.jsonl`, import.meta.url), "utf8")
    .trimEnd()
    .split("\n")

/** Tags of a union of tagged structs or classes. */
const tagsOf = (samples: ReadonlyArray<{ readonly _tag: string }>) => new Set(samples.map(({ _tag }) => _tag))

describe("golden bytes", () => {
  it("of events, all kinds of them", () => {
    expect(events.map(metadataEventCodec.encode)).toEqual(golden("metadata-events-1"))
    expect(tagsOf(events).size).toBe(MetadataEvent.members.length)
  })

  it("of commands, all kinds of them", () => {
    expect(commands.map(metadataCommandCodec.encode)).toEqual(golden("metadata-commands-1"))
    expect(tagsOf(commands).size).toBe(MetadataCommand.members.length)
  })

  it("of errors, all kinds of them", () => {
    const encode = Schema.encodeSync(MetadataError)
    expect(errors.map((error) => stableJson(encode(error) as Json))).toEqual(golden("metadata-errors-1"))
    expect(tagsOf(errors).size).toBe(MetadataError.members.length)
  })

  it("are read back as what they were", () => {
    expect(golden("metadata-events-1").map((line) => Either.getOrThrow(metadataEventCodec.decode(line)))).toStrictEqual(events)
    expect(golden("metadata-commands-1").map((line) => Either.getOrThrow(metadataCommandCodec.decode(line)))).toStrictEqual(
      commands
    )
    const decode = Schema.decodeUnknownSync(MetadataError)
    const decoded = golden("metadata-errors-1").map((line) => decode(JSON.parse(line)))
    expect(decoded.map((error) => [error._tag, error.message])).toEqual(errors.map((error) => [error._tag, error.message]))
  })
})

describe("what is no event of a known version", () => {
  it.each([
    ["no JSON", "{", "not JSON"],
    ["no object", "null", "not an object"],
    ["no version", '{"_tag":"TenantDeleted","tenant":"a"}', "version undefined of TenantDeleted"],
    [
      "a later version",
      '{"_tag":"TenantDeleted","_version":2,"tenant":"a"}',
      "version 2 of TenantDeleted is not known here, upgrade"
    ],
    ["an unknown kind", '{"_tag":"TenantRenamed","_version":1,"tenant":"a"}', "TenantRenamed"],
    ["a field that is missing", '{"_tag":"TenantDeleted","_version":1}', "tenant"],
    ["a field of another kind", '{"_tag":"TenantDeleted","_version":1,"tenant":1}', "tenant"]
  ])("%s is refused", (_, line, message) => {
    const refused = metadataEventCodec.decode(line)
    expect(Either.isLeft(refused) && refused.left.message).toContain(message)
  })
})

describe("stableJson", () => {
  it("is one line, whatever the order of keys, and says the same as JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const line = stableJson(value as Json)
        const shuffle = (part: unknown): unknown => {
          if (Array.isArray(part)) return part.map(shuffle)
          if (typeof part !== "object" || part === null) return part
          const entries = Object.entries(part).reverse()
          return Object.defineProperties(
            {},
            Object.fromEntries(entries.map(([key, field]) => [key, { value: shuffle(field), enumerable: true }]))
          )
        }
        expect(stableJson(shuffle(value) as Json)).toBe(line)
        expect(line).not.toContain("\n")
        expect(JSON.stringify(JSON.parse(line))).toHaveLength(JSON.stringify(value).length)
      })
    )
  })

  it("leaves out what is undefined and refuses what JSON cannot carry", () => {
    expect(stableJson({ b: 1, a: undefined })).toBe('{"b":1}')
    expect(() => stableJson(Number.NaN)).toThrow("not a JSON number")
  })
})

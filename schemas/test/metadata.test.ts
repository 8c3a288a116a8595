/** The bytes of metadata events, commands and errors are frozen: golden/ is written once per version and never edited. */
import { readFileSync } from "node:fs"
import * as Arbitrary from "effect/Arbitrary"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MetadataError } from "../src/errors/MetadataError.js"
import { metadataCommandCodec, metadataEventCodec } from "../src/metadata/MetadataCodec.js"
import { MetadataCommand } from "../src/metadata/MetadataCommand.js"
import { MetadataEvent } from "../src/metadata/MetadataEvent.js"
import { type PlainForm, plainForm } from "../src/metadata/PlainForm.js"
import { type Json, stableJson } from "../src/metadata/StableJson.js"
import { commands, errors, events, laterCommands, laterErrors, laterEvents } from "./metadataSamples.js"

const golden = (name: string): ReadonlyArray<string> =>
  readFileSync(new URL(`../golden/${name}.jsonl`, import.meta.url), "utf8")
    .trimEnd()
    .split("\n")

/** Tags of a union of tagged structs or classes. */
const tagsOf = (samples: ReadonlyArray<{ readonly _tag: string }>) => new Set(samples.map(({ _tag }) => _tag))

const allEvents = [...events, ...laterEvents]
const allCommands = [...commands, ...laterCommands]
const allErrors = [...errors, ...laterErrors]

/** The first frozen lines and those frozen later, each in a file of its own. */
const goldenOf = (what: string): ReadonlyArray<string> => [...golden(`metadata-${what}-1`), ...golden(`metadata-${what}-2`)]

describe("golden bytes", () => {
  it("of events, all kinds of them", () => {
    expect(allEvents.map(metadataEventCodec.encode)).toEqual(goldenOf("events"))
    expect(tagsOf(allEvents).size).toBe(MetadataEvent.members.length)
  })

  it("of commands, all kinds of them", () => {
    expect(allCommands.map(metadataCommandCodec.encode)).toEqual(goldenOf("commands"))
    expect(tagsOf(allCommands).size).toBe(MetadataCommand.members.length)
  })

  it("of errors, all kinds of them", () => {
    const encode = Schema.encodeSync(MetadataError)
    expect(allErrors.map((error) => stableJson(encode(error) as Json))).toEqual(goldenOf("errors"))
    expect(tagsOf(allErrors).size).toBe(MetadataError.members.length)
  })

  it("are read back as what they were", () => {
    expect(goldenOf("events").map((line) => Either.getOrThrow(metadataEventCodec.decode(line)))).toStrictEqual(allEvents)
    expect(goldenOf("commands").map((line) => Either.getOrThrow(metadataCommandCodec.decode(line)))).toStrictEqual(allCommands)
    const decode = Schema.decodeUnknownSync(MetadataError)
    const decoded = goldenOf("errors").map((line) => decode(JSON.parse(line)))
    expect(decoded.map((error) => [error._tag, error.message])).toEqual(allErrors.map((error) => [error._tag, error.message]))
  })
})

describe("the plain form of events and commands", () => {
  const eventForm = plainForm(MetadataEvent)
  const commandForm = plainForm(MetadataCommand)
  const anyEvent = Arbitrary.make(MetadataEvent)
  const anyCommand = Arbitrary.make(MetadataCommand)

  it("writes what the schema encodes, and reads what it decodes", () => {
    const same = <A, I>(form: PlainForm<A>, schema: Schema.Schema<A, I>, value: A) => {
      expect(form.write(value)).toBe(stableJson(Schema.encodeSync(schema)(value) as Json))
      const stored: unknown = JSON.parse(form.write(value))
      expect(form.read(stored)).toStrictEqual(Schema.decodeUnknownSync(schema)(stored))
    }
    FastCheck.assert(
      FastCheck.property(anyEvent, (event) => same(eventForm, MetadataEvent, event)),
      { numRuns: 300 }
    )
    FastCheck.assert(
      FastCheck.property(anyCommand, (command) => same(commandForm, MetadataCommand, command)),
      { numRuns: 300 }
    )
  })

  it("reads nothing that the schema refuses, and nothing that it does not name", () => {
    const decode = Schema.decodeUnknownEither(MetadataEvent)
    FastCheck.assert(
      FastCheck.property(anyEvent, FastCheck.jsonValue(), FastCheck.nat(), (event, wrong, at) => {
        const fields = Object.entries(event)
        const [name] = fields[at % fields.length] as [string, unknown]
        FastCheck.pre(name !== "_tag" || typeof wrong === "string")
        const altered: unknown = JSON.parse(JSON.stringify({ ...event, [name]: wrong, more: 1 }))
        const read = eventForm.read(altered)
        const decoded = decode(altered)
        if (read !== undefined) expect(Either.getOrThrow(decoded)).toStrictEqual(read)
        if (Either.isLeft(decoded)) expect(read).toBeUndefined()
      }),
      { numRuns: 500 }
    )
  })

  it("writes nothing that does not fit", () => {
    const wrong = { _tag: "TenantDeleted", tenant: 1 } as unknown as MetadataEvent
    expect(() => metadataEventCodec.encode(wrong)).toThrow("does not fit")
    expect(() => metadataEventCodec.encode({ _tag: "ConfigSet", key: "k", value: Number.NaN })).toThrow("does not fit")
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
    ["a later version of what has two", '{"_tag":"NodeRegistered","_version":3,"nodeId":1}', "version 3 of NodeRegistered"],
    ["a version that is none", '{"_tag":"TenantDeleted","_version":0.5,"tenant":"a"}', "version 0.5 of TenantDeleted"],
    ["without a tag", '{"_tag":{"toString":0},"_version":1}', "without a tag"],
    ["with a version that is no number", '{"_tag":"UserPut","_version":{"toString":0}}', 'version {"toString":0} of UserPut'],
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

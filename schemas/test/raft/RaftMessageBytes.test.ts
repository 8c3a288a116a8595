/** Messages between members of a Raft group: frozen bytes, what is written is read back, what is no batch is refused. */
import { readFileSync } from "node:fs"
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { BytesError } from "@effectmq/bytes/BytesError"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Entry } from "../../src/raft/Entry.js"
import type { Membership } from "../../src/raft/Membership.js"
import type { RaftMessage } from "../../src/raft/RaftMessage.js"
import { readRaftMessages, writeRaftMessages } from "../../src/raft/RaftMessageBytes.js"

const golden = readFileSync(new URL("../../golden/raft-messages-1.bin", import.meta.url))

const alone: Membership = {
  voters: [3],
  outgoingVoters: [],
  learners: [],
  members: [{ nodeId: 3, address: "three.example:7400" }]
}
const ways = { from: 3, to: 2 ** 33 }

const messages: ReadonlyArray<RaftMessage> = [
  { _tag: "VoteRequest", ...ways, term: 7, preVote: true, lastIndex: 2 ** 40, lastTerm: 6, transfer: false },
  { _tag: "VoteRequest", ...ways, term: 7, preVote: false, lastIndex: 0, lastTerm: 0, transfer: true },
  { _tag: "VoteReply", ...ways, term: 7, preVote: true, granted: false },
  { _tag: "VoteReply", ...ways, term: 7, preVote: false, granted: true },
  {
    _tag: "AppendRequest",
    ...ways,
    term: 8,
    previousIndex: 40,
    previousTerm: 7,
    entries: [],
    commitIndex: 39,
    readRound: 2 ** 35
  },
  {
    _tag: "AppendRequest",
    ...ways,
    term: 8,
    previousIndex: 40,
    previousTerm: 7,
    entries: [
      { kind: "noop", index: 41, term: 8 },
      { kind: "command", index: 42, term: 8, data: Buffer.from('{"event":"one"}\n{"event":"two"}') },
      { kind: "membership", index: 43, term: 8, membership: alone }
    ],
    commitIndex: 40,
    readRound: 0
  },
  { _tag: "AppendReply", ...ways, term: 8, accepted: true, index: 43, hintIndex: 0, hintTerm: 0, readRound: 1 },
  { _tag: "AppendReply", ...ways, term: 8, accepted: false, index: 43, hintIndex: 12, hintTerm: 5, readRound: 1 },
  {
    _tag: "SnapshotRequest",
    ...ways,
    term: 9,
    snapshot: { index: 1000, term: 8, membership: alone, chunks: 3, bytes: 2 ** 34 },
    chunk: 2,
    data: Buffer.alloc(40, 0xab)
  },
  { _tag: "SnapshotReply", ...ways, term: 9, index: 1000, nextChunk: 3 },
  { _tag: "TimeoutNow", ...ways, term: 9 },
  { _tag: "ReadIndexRequest", ...ways, term: 9, requestId: 77 },
  { _tag: "ReadIndexReply", ...ways, term: 9, requestId: 77, index: -1 },
  { _tag: "ReadIndexReply", ...ways, term: Number.MAX_SAFE_INTEGER, requestId: 78, index: 1001 }
]

const bytesOf = (from: number, to: number, all: ReadonlyArray<RaftMessage>): Buffer => {
  const writer = new ByteWriter()
  writeRaftMessages(writer, from, to, all)
  return writer.copy()
}

const read = (bytes: Uint8Array) => readRaftMessages(new ByteReader(bytes))

const natural = fc.oneof(fc.nat(300), fc.maxSafeNat())
const data = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))
const base = { from: fc.constant(ways.from), to: fc.constant(ways.to), term: natural }
const membership: fc.Arbitrary<Membership> = fc.record({
  voters: fc.array(natural),
  outgoingVoters: fc.array(natural),
  learners: fc.array(natural),
  members: fc.array(fc.record({ nodeId: natural, address: fc.string({ unit: "grapheme" }) }))
})
const tag = <Tag extends string>(name: Tag) => fc.constant(name)

const entriesBehind = (previousIndex: number): fc.Arbitrary<Array<Entry>> =>
  fc
    .array(
      fc.oneof(
        fc.record({ kind: tag("noop"), term: natural }),
        fc.record({ kind: tag("command"), term: natural, data }),
        fc.record({ kind: tag("membership"), term: natural, membership })
      ),
      { maxLength: 5 }
    )
    .map((entries) => entries.map((entry, at) => ({ ...entry, index: previousIndex + 1 + at })))

const appendRequest = fc.nat().chain((previousIndex) =>
  fc.record({
    _tag: tag("AppendRequest"),
    ...base,
    previousIndex: fc.constant(previousIndex),
    previousTerm: natural,
    entries: entriesBehind(previousIndex),
    commitIndex: natural,
    readRound: natural
  })
)

const message: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc.record({
    _tag: tag("VoteRequest"),
    ...base,
    preVote: fc.boolean(),
    lastIndex: natural,
    lastTerm: natural,
    transfer: fc.boolean()
  }),
  fc.record({ _tag: tag("VoteReply"), ...base, preVote: fc.boolean(), granted: fc.boolean() }),
  appendRequest,
  fc.record({
    _tag: tag("AppendReply"),
    ...base,
    accepted: fc.boolean(),
    index: natural,
    hintIndex: natural,
    hintTerm: natural,
    readRound: natural
  }),
  fc.record({
    _tag: tag("SnapshotRequest"),
    ...base,
    snapshot: fc.record({ index: natural, term: natural, membership, chunks: fc.nat(), bytes: natural }),
    chunk: natural,
    data
  }),
  fc.record({ _tag: tag("SnapshotReply"), ...base, index: natural, nextChunk: natural }),
  fc.record({ _tag: tag("TimeoutNow"), ...base }),
  fc.record({ _tag: tag("ReadIndexRequest"), ...base, requestId: natural }),
  fc.record({ _tag: tag("ReadIndexReply"), ...base, requestId: natural, index: fc.oneof(natural, fc.constant(-1)) })
)

describe("messages between members of a Raft group", () => {
  it("have these bytes, for ever", () => {
    expect(bytesOf(ways.from, ways.to, messages)).toEqual(golden)
  })

  it("are read back from these bytes", () => {
    expect(read(golden)).toEqual(messages)
  })

  it("read back what was written", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), (all) => {
        expect(read(bytesOf(ways.from, ways.to, all))).toEqual(all)
      })
    )
  })

  it("of another version, of an unknown kind or with impossible numbers are refused", () => {
    expect(() => read(Buffer.from([2, 2, 4]))).toThrow("unknown version 2")
    expect(() => read(Buffer.from([1, 2, 4, 10, 0]))).toThrow("unknown kind 10")
    expect(() => read(Buffer.from([1, 2, 4, 7, 1]))).toThrow("cannot be")
    expect(() => read(Buffer.from([1, 2, 4, 2, 0, 4]))).toThrow("flags 4")
    expect(() => read(Buffer.from([1, 2, 4, 3, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]))).toThrow("entries in 0 bytes")
  })

  it("cut short are refused, or are fewer", () => {
    for (let length = 0; length < golden.length; length++) {
      let few: ReadonlyArray<RaftMessage> = []
      try {
        few = read(golden.subarray(0, length))
      } catch (error) {
        expect(error).toBeInstanceOf(BytesError)
      }
      expect(messages.slice(0, few.length)).toEqual(few)
    }
  })

  it("changed anywhere give messages or are refused, and nothing else", () => {
    fc.assert(
      fc.property(fc.nat(golden.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const bytes = Buffer.from(golden)
        bytes[at] = value
        try {
          read(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(BytesError)
        }
      }),
      { numRuns: 2_000 }
    )
  })
})

/** The stored forms of entries, memberships and snapshots: frozen bytes, and what is written is read back. */
import { readFileSync } from "node:fs"
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { BytesError } from "@effectmq/bytes/BytesError"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Entry } from "../../src/raft/Entry.js"
import { readEntry, writeEntry } from "../../src/raft/EntryBytes.js"
import type { Membership } from "../../src/raft/Membership.js"
import type { SnapshotMeta } from "../../src/raft/SnapshotMeta.js"
import { readSnapshotMeta, writeSnapshotMeta } from "../../src/raft/SnapshotMetaBytes.js"

const golden = (name: string): Buffer => readFileSync(new URL(`../../golden/raft-${name}.bin`, import.meta.url))

const joint: Membership = {
  voters: [1, 2, 4],
  outgoingVoters: [1, 2, 3],
  learners: [2 ** 40],
  members: [
    { nodeId: 1, address: "one.example:7400" },
    { nodeId: 2, address: "[::1]:7400" },
    { nodeId: 3, address: "dreß.example:7400" },
    { nodeId: 4, address: "10.0.0.4:65535" },
    { nodeId: 2 ** 40, address: "" }
  ]
}

const alone: Membership = { voters: [7], outgoingVoters: [], learners: [], members: [{ nodeId: 7, address: "localhost:1" }] }

const entries: ReadonlyArray<Entry> = [
  { kind: "membership", index: 41, term: 0, membership: alone },
  { kind: "noop", index: 42, term: 1 },
  { kind: "command", index: 43, term: 1, data: Buffer.from('{"event":"one"}\n{"event":"two"}') },
  { kind: "command", index: 44, term: 300, data: Buffer.alloc(0) },
  { kind: "command", index: 45, term: 300, data: Buffer.alloc(200, 0xee) },
  { kind: "membership", index: 46, term: 2 ** 35, membership: joint },
  { kind: "noop", index: 47, term: Number.MAX_SAFE_INTEGER }
]

const snapshot: SnapshotMeta = { index: 2 ** 33, term: 12, chunks: 300, bytes: 300 * 2 ** 20, membership: joint }

const bytesOf = (all: ReadonlyArray<Entry>): Buffer => {
  const writer = new ByteWriter()
  for (const entry of all) writeEntry(writer, entry)
  return writer.copy()
}

const entriesOf = (bytes: Uint8Array, firstIndex: number): Array<Entry> => {
  const reader = new ByteReader(bytes)
  const all: Array<Entry> = []
  while (reader.remaining > 0) all.push(readEntry(reader, firstIndex + all.length))
  return all
}

const snapshotBytes = (meta: SnapshotMeta): Buffer => {
  const writer = new ByteWriter()
  writeSnapshotMeta(writer, meta)
  return writer.copy()
}

const id = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.maxSafeNat())
const membership: fc.Arbitrary<Membership> = fc.record({
  voters: fc.array(id),
  outgoingVoters: fc.array(id),
  learners: fc.array(id),
  members: fc.array(fc.record({ nodeId: id, address: fc.string({ unit: "grapheme" }) }))
})
const place = { index: fc.maxSafeNat(), term: id }
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant("noop" as const), ...place }),
  fc.record({
    kind: fc.constant("command" as const),
    ...place,
    data: fc.uint8Array({ maxLength: 500 }).map((data) => Buffer.from(data))
  }),
  fc.record({ kind: fc.constant("membership" as const), ...place, membership })
)

describe("entries and snapshots of a Raft log", () => {
  it("have these bytes, for ever", () => {
    expect(bytesOf(entries)).toEqual(golden("entries-1"))
    expect(snapshotBytes(snapshot)).toEqual(golden("snapshot-meta-1"))
  })

  it("are read back from these bytes", () => {
    expect(entriesOf(golden("entries-1"), 41)).toEqual(entries)
    expect(readSnapshotMeta(new ByteReader(golden("snapshot-meta-1")))).toEqual(snapshot)
  })

  it("read back what was written", () => {
    fc.assert(
      fc.property(entry, (one) => {
        expect(entriesOf(bytesOf([one]), one.index)).toEqual([one])
      })
    )
    fc.assert(
      fc.property(fc.record({ index: id, term: id, chunks: fc.nat(), bytes: id, membership }), (meta) => {
        expect(readSnapshotMeta(new ByteReader(snapshotBytes(meta)))).toEqual(meta)
      })
    )
  })

  it("of an unknown kind, or cut short, are refused", () => {
    expect(() => entriesOf(Buffer.from([9, 0]), 1)).toThrow(BytesError)
    for (const one of entries) {
      const bytes = bytesOf([one])
      for (let length = 1; length < bytes.length; length++) {
        expect(() => entriesOf(bytes.subarray(0, length), one.index)).toThrow(BytesError)
      }
    }
  })
})

/** What nodes say to each other about metadata is frozen: golden/metadata-rpcs-*.jsonl are written once and never edited. */
import { readFileSync } from "node:fs"
import type * as Rpc from "@effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import * as Errors from "../src/errors/MetadataError.js"
import { type Json, stableJson } from "../src/metadata/StableJson.js"
import * as Rpcs from "../src/rpc/MetadataRpcs.js"

const lines = readFileSync(new URL("../golden/metadata-rpcs-1.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")

const bytes = new Uint8Array([0, 1, 254, 255])
const hash = "ab".repeat(32)
const report = {
  nodeId: 1,
  role: "leader",
  term: 3,
  leaderId: 1,
  firstIndex: 1,
  lastIndex: 9,
  commitIndex: 9,
  appliedIndex: 8,
  snapshotIndex: 0,
  imageVersion: 17,
  chainHash: hash,
  imageHash: hash
} as const
const member = { nodeId: 4, address: "four:7400" }
const unavailable = new Errors.MetadataUnavailable({ reason: "no-leader", message: "m" })

/** Request, answer, failure; in the order of the lines. */
const samples: ReadonlyArray<readonly [what: string, schema: Schema.Schema.AnyNoContext, value: unknown]> = [
  ["Submit", Rpcs.Submit.payloadSchema, { term: 3, commands: [{ line: "{}", basisVersion: 7, attempt: 1 }], waitMsMax: 5000 }],
  [
    "Submit answers",
    Rpcs.Submit.successSchema,
    [
      { _tag: "Done", reply: { version: 9 } },
      { _tag: "Done", reply: { version: 9, created: true } },
      { _tag: "Done", reply: { version: 9, topicId: 8 } },
      { _tag: "Refused", error: new Errors.UnknownTopic({ tenant: "default", name: "t" }) },
      { _tag: "NotLeader", leaderId: 0, term: 3 },
      { _tag: "NotLeader", leaderId: 2, term: 3, address: "two:7400" },
      { _tag: "Lost" },
      { _tag: "Unavailable", error: unavailable }
    ]
  ],
  ["ReadBarrier answers", Rpcs.ReadBarrier.successSchema, { version: 9 }],
  ["ReadBarrier fails", Rpcs.ReadBarrier.errorSchema, unavailable],
  ["Follow", Rpcs.Follow.payloadSchema, { nodeId: 9, index: 4, hash, bytesMax: 1024 }],
  ["Followed snapshot", Rpcs.Followed, { _tag: "SnapshotChunk", data: bytes, last: true }],
  ["Followed entries", Rpcs.Followed, { _tag: "Entries", entries: [{ index: 5, data: bytes }] }],
  ["Followed position", Rpcs.Followed, { _tag: "Position", index: 5, hash, stale: false, leaderId: 1, term: 3 }],
  ["Follow fails", Rpcs.FollowRefused, new Rpcs.FollowRefused({ reason: "diverged", message: "m" })],
  ["Heartbeat", Rpcs.Heartbeat.payloadSchema, { nodeId: 2, storeId: "s", index: 5 }],
  ["Heartbeat answers", Rpcs.Heartbeat.successSchema, { leaderId: 1, address: "one:1", registered: true, fenced: false, hash }],
  ["Identify", Rpcs.Identify.payloadSchema, { nodeId: 2 }],
  [
    "Identify answers",
    Rpcs.Identify.successSchema,
    { nodeId: 1, storeId: "s", clusterId: "c", knownStoreId: "k", memberIds: [1, 2] }
  ],
  ["Report answers", Rpcs.Report.successSchema, { ...report, fault: "f" }],
  [
    "Status answers",
    Rpcs.Status.successSchema,
    {
      clusterId: "c",
      askedNodeId: 1,
      leaderId: 1,
      term: 3,
      stale: false,
      nodes: [{ nodeId: 1, name: "n", address: "one:1", version: "1", part: "voter", fenced: false, lag: 0, report }]
    }
  ],
  ...(
    [
      { _tag: "AddLearner", member },
      { _tag: "Promote", nodeId: 4 },
      { _tag: "Remove", nodeId: 4 },
      { _tag: "SetAddress", member }
    ] as const
  ).map((change) => ["ChangeMembership", Rpcs.ChangeMembership.payloadSchema, { change, waitMsMax: 0 }] as const),
  ["ChangeMembership fails", Rpcs.ChangeMembership.errorSchema, new Errors.InvalidMembership({ nodeId: 4, reason: "r" })],
  ["TransferLeadership", Rpcs.TransferLeadership.payloadSchema, { toNodeId: 2 }],
  ["TakeSnapshot answers", Rpcs.TakeSnapshot.successSchema, { nodeId: 1, index: 8, imageVersion: 17, bytes: 1000 }]
]

/** Bytes as hex, so that a line can be read. */
const plain = (value: unknown): Json => {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value as Json
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]))
}

describe("calls between nodes", () => {
  it("have the frozen form", () => {
    const encoded = samples.map(([what, schema, value]) => `${what} ${stableJson(plain(Schema.encodeSync(schema)(value)))}`)
    expect(encoded).toEqual(lines)
  })

  it("have the frozen form with what came later", () => {
    const later = { nodeId: 1, storeId: "s", memberIds: [1, 2], membershipIndex: 9, holdsLog: true, isConfirmed: false }
    expect(`Identify answers ${stableJson(plain(Schema.encodeSync(Rpcs.Identify.successSchema)(later)))}\n`).toBe(
      readFileSync(new URL("../golden/metadata-rpcs-3.jsonl", import.meta.url), "utf8")
    )
    const answer = { nodeId: 1, storeId: "s", memberIds: [1, 2], membershipIndex: 9 }
    const encoded = stableJson(plain(Schema.encodeSync(Rpcs.Identify.successSchema)(answer)))
    expect(`Identify answers ${encoded}\n`).toBe(
      readFileSync(new URL("../golden/metadata-rpcs-2.jsonl", import.meta.url), "utf8")
    )
  })

  it("have the frozen form with how a node is", () => {
    const encoded = stableJson(
      plain(Schema.encodeSync(Rpcs.Report.successSchema)({ ...report, standing: "takenOut", fault: "f" }))
    )
    expect(`Report answers ${encoded}\n`).toBe(readFileSync(new URL("../golden/metadata-rpcs-4.jsonl", import.meta.url), "utf8"))
  })

  it("have the frozen form with what a node's clock says", () => {
    const encoded = stableJson(plain(Schema.encodeSync(Rpcs.Heartbeat.payloadSchema)({ nodeId: 2, index: 5, clockMs: 1 })))
    expect(`Heartbeat ${encoded}\n`).toBe(readFileSync(new URL("../golden/metadata-rpcs-5.jsonl", import.meta.url), "utf8"))
  })

  it("have the frozen form with how far the log is applied", () => {
    const position = { _tag: "Position", index: 5, hash, appliedIndex: 6, stale: false, leaderId: 1, term: 3 } as const
    expect(`Followed position ${stableJson(plain(Schema.encodeSync(Rpcs.Followed)(position)))}\n`).toBe(
      readFileSync(new URL("../golden/metadata-rpcs-6.jsonl", import.meta.url), "utf8")
    )
  })

  it("are read back as what they were", () => {
    for (const [, schema, value] of samples) {
      const again = Schema.decodeUnknownSync(schema)(structuredClone(Schema.encodeSync(schema)(value)))
      expect(Schema.encodeSync(schema)(again)).toEqual(Schema.encodeSync(schema)(value))
    }
  })

  it("have the frozen names", () => {
    const names = [...(Rpcs.MetadataRpcs.requests as ReadonlyMap<string, Rpc.Any>).keys()].sort()
    expect(names).toEqual(
      [
        "ChangeMembership",
        "Follow",
        "Heartbeat",
        "Identify",
        "ReadBarrier",
        "Report",
        "Status",
        "Submit",
        "TakeSnapshot",
        "TransferLeadership"
      ].map((name) => `metadata1.${name}`)
    )
  })
})

/**
 * Messages between members of a Raft group as bytes: a batch of them, all from one node to one other. Frozen:
 * `golden/raft-messages-1.bin`.
 *
 *     batch   = version (u8, 1) | from (varlong) | to (varlong) | messages, to the end
 *     message = kind (u8) | term (varlong) | content
 *
 *     1 VoteRequest       flags (u8: 1 preVote, 2 transfer) | lastIndex | lastTerm
 *     2 VoteReply         flags (u8: 1 preVote, 2 granted)
 *     3 AppendRequest     previousIndex | previousTerm | commitIndex | readRound | count (unsigned varint) | entries (EntryBytes)
 *     4 AppendReply       accepted (u8: 0 or 1) | index | hintIndex | hintTerm | readRound
 *     5 SnapshotRequest   snapshot (SnapshotMetaBytes) | chunk | bytes of the data (unsigned varint) | data
 *     6 SnapshotReply     index | nextChunk
 *     7 TimeoutNow
 *     8 ReadIndexRequest  requestId
 *     9 ReadIndexReply    requestId | index
 *
 * Numbers without a type are varlongs, never negative save the `index` of 9. The entries' indexes are not among the bytes: they follow `previousIndex`, dense.
 */
import type { ByteReader } from "@effectmq/bytes/ByteReader"
import { BytesError } from "@effectmq/bytes/BytesError"
import type { ByteWriter } from "@effectmq/bytes/ByteWriter"
import type { Entry } from "./Entry.js"
import { readEntry, writeEntry } from "./EntryBytes.js"
import { type RaftMessage, raftMessageVersion } from "./RaftMessage.js"
import { readSnapshotMeta, writeSnapshotMeta } from "./SnapshotMetaBytes.js"

const codeByTag = {
  VoteRequest: 1,
  VoteReply: 2,
  AppendRequest: 3,
  AppendReply: 4,
  SnapshotRequest: 5,
  SnapshotReply: 6,
  TimeoutNow: 7,
  ReadIndexRequest: 8,
  ReadIndexReply: 9
} as const satisfies Record<RaftMessage["_tag"], number>

const flags = (first: boolean, second: boolean): number => (first ? 1 : 0) | (second ? 2 : 0)

const writeMessage = (writer: ByteWriter, message: RaftMessage): void => {
  writer.uint8(codeByTag[message._tag])
  writer.varlong(message.term)
  switch (message._tag) {
    case "VoteRequest":
      writer.uint8(flags(message.preVote, message.transfer))
      writer.varlong(message.lastIndex)
      writer.varlong(message.lastTerm)
      return
    case "VoteReply":
      writer.uint8(flags(message.preVote, message.granted))
      return
    case "AppendRequest":
      writer.varlong(message.previousIndex)
      writer.varlong(message.previousTerm)
      writer.varlong(message.commitIndex)
      writer.varlong(message.readRound)
      writer.unsignedVarint(message.entries.length)
      for (const entry of message.entries) writeEntry(writer, entry)
      return
    case "AppendReply":
      writer.uint8(flags(message.accepted, false))
      writer.varlong(message.index)
      writer.varlong(message.hintIndex)
      writer.varlong(message.hintTerm)
      writer.varlong(message.readRound)
      return
    case "SnapshotRequest":
      writeSnapshotMeta(writer, message.snapshot)
      writer.varlong(message.chunk)
      writer.unsignedVarint(message.data.length)
      writer.bytes(message.data)
      return
    case "SnapshotReply":
      writer.varlong(message.index)
      writer.varlong(message.nextChunk)
      return
    case "TimeoutNow":
      return
    case "ReadIndexRequest":
      writer.varlong(message.requestId)
      return
    case "ReadIndexReply":
      writer.varlong(message.requestId)
      writer.varlong(message.index)
  }
}

/** All numbers but one are never negative. */
const natural = (reader: ByteReader): number => {
  const value = reader.varlong()
  if (value < 0) throw new BytesError(`${value} before ${reader.position} cannot be`)
  return value
}

const readFlags = (reader: ByteReader, most: number): number => {
  const value = reader.uint8()
  if (value > most) throw new BytesError(`flags ${value} are not known`)
  return value
}

const readEntries = (reader: ByteReader, previousIndex: number): ReadonlyArray<Entry> => {
  const count = reader.unsignedVarint()
  // An entry has at least two bytes: what promises more than there can be is not believed.
  if (count * 2 > reader.remaining) throw new BytesError(`${count} entries in ${reader.remaining} bytes`)
  const entries: Array<Entry> = []
  for (let at = 1; at <= count; at++) entries.push(readEntry(reader, previousIndex + at))
  return entries
}

const readMessage = (reader: ByteReader, from: number, to: number): RaftMessage => {
  const code = reader.uint8()
  const term = natural(reader)
  switch (code) {
    case codeByTag.VoteRequest: {
      const set = readFlags(reader, 3)
      const lastIndex = natural(reader)
      const lastTerm = natural(reader)
      return { _tag: "VoteRequest", from, to, term, preVote: (set & 1) !== 0, lastIndex, lastTerm, transfer: (set & 2) !== 0 }
    }
    case codeByTag.VoteReply: {
      const set = readFlags(reader, 3)
      return { _tag: "VoteReply", from, to, term, preVote: (set & 1) !== 0, granted: (set & 2) !== 0 }
    }
    case codeByTag.AppendRequest: {
      const previousIndex = natural(reader)
      const previousTerm = natural(reader)
      const commitIndex = natural(reader)
      const readRound = natural(reader)
      const entries = readEntries(reader, previousIndex)
      return { _tag: "AppendRequest", from, to, term, previousIndex, previousTerm, entries, commitIndex, readRound }
    }
    case codeByTag.AppendReply: {
      const accepted = readFlags(reader, 1) === 1
      const index = natural(reader)
      const hintIndex = natural(reader)
      const hintTerm = natural(reader)
      return { _tag: "AppendReply", from, to, term, accepted, index, hintIndex, hintTerm, readRound: natural(reader) }
    }
    case codeByTag.SnapshotRequest: {
      const snapshot = readSnapshotMeta(reader)
      const chunk = natural(reader)
      return { _tag: "SnapshotRequest", from, to, term, snapshot, chunk, data: reader.bytes(reader.unsignedVarint()) }
    }
    case codeByTag.SnapshotReply: {
      const index = natural(reader)
      return { _tag: "SnapshotReply", from, to, term, index, nextChunk: natural(reader) }
    }
    case codeByTag.TimeoutNow:
      return { _tag: "TimeoutNow", from, to, term }
    case codeByTag.ReadIndexRequest:
      return { _tag: "ReadIndexRequest", from, to, term, requestId: natural(reader) }
    case codeByTag.ReadIndexReply: {
      const requestId = natural(reader)
      return { _tag: "ReadIndexReply", from, to, term, requestId, index: reader.varlong() }
    }
    default:
      throw new BytesError(`a message is of the unknown kind ${code}`)
  }
}

/** @param messages all from one node to one other */
export const writeRaftMessages = (writer: ByteWriter, from: number, to: number, messages: ReadonlyArray<RaftMessage>): void => {
  writer.uint8(raftMessageVersion)
  writer.varlong(from)
  writer.varlong(to)
  for (const message of messages) writeMessage(writer, message)
}

/**
 * To the end of the reader. The data of commands and chunks is not copied. Throws `BytesError` on what is no batch of this version,
 * on an unknown kind and on bytes that end too early.
 */
export const readRaftMessages = (reader: ByteReader): ReadonlyArray<RaftMessage> => {
  const version = reader.uint8()
  if (version !== raftMessageVersion) throw new BytesError(`raft messages of the unknown version ${version}`)
  const from = natural(reader)
  const to = natural(reader)
  const messages: Array<RaftMessage> = []
  while (reader.remaining > 0) messages.push(readMessage(reader, from, to))
  return messages
}

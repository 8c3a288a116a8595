/**
 * What a snapshot stands for as bytes, as it is stored. Frozen: `golden/raft-snapshot-meta-1.bin`.
 *
 *     index (varlong) | term (varlong) | chunks (unsigned varint) | bytes (varlong) | membership (MembershipBytes)
 */
import type { ByteReader } from "@effectmq/bytes/ByteReader"
import type { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { readMembership, writeMembership } from "./MembershipBytes.js"
import type { SnapshotMeta } from "./SnapshotMeta.js"

export const writeSnapshotMeta = (writer: ByteWriter, snapshot: SnapshotMeta): void => {
  writer.varlong(snapshot.index)
  writer.varlong(snapshot.term)
  writer.unsignedVarint(snapshot.chunks)
  writer.varlong(snapshot.bytes)
  writeMembership(writer, snapshot.membership)
}

/** Throws `BytesError` on bytes that end too early. */
export const readSnapshotMeta = (reader: ByteReader): SnapshotMeta => {
  const index = reader.varlong()
  const term = reader.varlong()
  const chunks = reader.unsignedVarint()
  const bytes = reader.varlong()
  return { index, term, chunks, bytes, membership: readMembership(reader) }
}

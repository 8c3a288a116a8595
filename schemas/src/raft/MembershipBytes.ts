/**
 * A membership as bytes, as it is stored. Frozen: `golden/raft-entries-1.bin`.
 *
 *     membership = ids of voters | ids of outgoing voters | ids of learners | members
 *     ids        = count (unsigned varint) | each (varlong)
 *     members    = count (unsigned varint) | each: node id (varlong) | bytes of the address (unsigned varint) | address (UTF-8)
 */
import type { ByteReader } from "@effectmq/bytes/ByteReader"
import type { ByteWriter } from "@effectmq/bytes/ByteWriter"
import type { Member, Membership } from "./Membership.js"

const writeIds = (writer: ByteWriter, ids: ReadonlyArray<number>): void => {
  writer.unsignedVarint(ids.length)
  for (const id of ids) writer.varlong(id)
}

const readIds = (reader: ByteReader): ReadonlyArray<number> => {
  const ids: Array<number> = []
  for (let count = reader.unsignedVarint(); count > 0; count--) ids.push(reader.varlong())
  return ids
}

export const writeMembership = (writer: ByteWriter, membership: Membership): void => {
  writeIds(writer, membership.voters)
  writeIds(writer, membership.outgoingVoters)
  writeIds(writer, membership.learners)
  writer.unsignedVarint(membership.members.length)
  for (const { nodeId, address } of membership.members) {
    writer.varlong(nodeId)
    writer.unsignedVarint(Buffer.byteLength(address))
    writer.utf8(address)
  }
}

/** Throws `BytesError` on bytes that end too early. */
export const readMembership = (reader: ByteReader): Membership => {
  const voters = readIds(reader)
  const outgoingVoters = readIds(reader)
  const learners = readIds(reader)
  const members: Array<Member> = []
  for (let count = reader.unsignedVarint(); count > 0; count--) {
    members.push({ nodeId: reader.varlong(), address: reader.utf8(reader.unsignedVarint()) })
  }
  return { voters, outgoingVoters, learners, members }
}

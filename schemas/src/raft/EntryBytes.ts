/**
 * An entry as bytes, as it is stored. Its index is not among them: entries are dense, and what holds them says where they begin.
 * Frozen: `golden/raft-entries-1.bin`.
 *
 *     entry   = kind (u8) | term (varlong) | content
 *     noop    = kind 0, no content
 *     command = kind 1, bytes of the data (unsigned varint) | data
 *     members = kind 2, membership (MembershipBytes)
 */
import type { ByteReader } from "@effectmq/bytes/ByteReader"
import type { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { BytesError } from "@effectmq/bytes/BytesError"
import type { Entry } from "./Entry.js"
import { readMembership, writeMembership } from "./MembershipBytes.js"

const codeByKind = { noop: 0, command: 1, membership: 2 } as const

export const writeEntry = (writer: ByteWriter, entry: Entry): void => {
  writer.uint8(codeByKind[entry.kind])
  writer.varlong(entry.term)
  if (entry.kind === "command") {
    writer.unsignedVarint(entry.data.length)
    writer.bytes(entry.data)
  } else if (entry.kind === "membership") {
    writeMembership(writer, entry.membership)
  }
}

/** The data of a command is not copied. Throws `BytesError` on an unknown kind and on bytes that end too early. */
export const readEntry = (reader: ByteReader, index: number): Entry => {
  const code = reader.uint8()
  const term = reader.varlong()
  if (code === codeByKind.command) return { kind: "command", index, term, data: reader.bytes(reader.unsignedVarint()) }
  if (code === codeByKind.membership) return { kind: "membership", index, term, membership: readMembership(reader) }
  if (code === codeByKind.noop) return { kind: "noop", index, term }
  throw new BytesError(`entry ${index} is of the unknown kind ${code}`)
}

/**
 * The headers of a record, as they stand at its end: their count, then of each the name and the value, both with their size
 * before them (varints; a value of size -1 is null). Who writes many records with the same headers encodes them once.
 */
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { utf8SizeBytes } from "@effectmq/bytes/Utf8"

/** A header's value: bytes, text (stored as UTF-8), or null. */
export interface RecordHeader {
  readonly name: string
  readonly value: Uint8Array | string | undefined
}

export type EncodedHeaders = Uint8Array

export const encodeHeaders = (headers: ReadonlyArray<RecordHeader>): EncodedHeaders => {
  const writer = new ByteWriter()
  writer.varint(headers.length)
  for (const { name, value } of headers) {
    writer.varint(utf8SizeBytes(name))
    writer.utf8(name)
    writer.varint(value === undefined ? -1 : typeof value === "string" ? utf8SizeBytes(value) : value.length)
    if (typeof value === "string") writer.utf8(value)
    else if (value !== undefined) writer.bytes(value)
  }
  return writer.copy()
}

export const noHeaders: EncodedHeaders = encodeHeaders([])

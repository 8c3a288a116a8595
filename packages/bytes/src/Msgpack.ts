/**
 * Plain values as msgpack (github.com/msgpack/msgpack, spec.md): nil, booleans, numbers, text, bytes, arrays, and objects as maps
 * with text keys. No extensions.
 *
 * Invariants
 * - What is read takes memory in proportion to its bytes: a length that promises more than there is, or a value nested deeper than
 *   `depthMax`, is refused before anything is made of it.
 * - A number without fraction is written as the shortest integer that holds it, any other as float 64. Keys of objects whose value
 *   is undefined are left out, undefined elsewhere is nil.
 */
import type { ByteReader } from "./ByteReader.js"
import { BytesError } from "./BytesError.js"
import type { ByteWriter } from "./ByteWriter.js"

export const depthMax = 64

/** For `fixMax`: the length is never part of the first byte. */
const noFixedForm = -1

const writeLength = (writer: ByteWriter, length: number, fix: number, fixMax: number, code16: number): void => {
  if (length <= fixMax) writer.uint8(fix | length)
  else if (length <= 0xffff) {
    writer.uint8(code16)
    writer.uint16(length)
  } else {
    writer.uint8(code16 + 1)
    writer.uint32(length)
  }
}

const writeInteger = (writer: ByteWriter, value: number): void => {
  if (value >= 0) {
    if (value <= 0x7f) writer.uint8(value)
    else if (value <= 0xff) writer.uint16(0xcc00 | value)
    else if (value <= 0xffff) {
      writer.uint8(0xcd)
      writer.uint16(value)
    } else if (value <= 0xffffffff) {
      writer.uint8(0xce)
      writer.uint32(value)
    } else {
      writer.uint8(0xcf)
      writer.int64(value)
    }
  } else if (value >= -0x20) writer.uint8(value & 0xff)
  else if (value >= -0x80) writer.uint16(0xd000 | (value & 0xff))
  else if (value >= -0x8000) {
    writer.uint8(0xd1)
    writer.uint16(value & 0xffff)
  } else if (value >= -0x80000000) {
    writer.uint8(0xd2)
    writer.uint32(value >>> 0)
  } else {
    writer.uint8(0xd3)
    writer.int64(value)
  }
}

const writeText = (writer: ByteWriter, text: string): void => {
  const length = Buffer.byteLength(text)
  if (length > 0x1f && length <= 0xff) writer.uint16(0xd900 | length)
  else writeLength(writer, length, 0xa0, 0x1f, 0xda)
  writer.utf8(text)
}

const writeBytes = (writer: ByteWriter, bytes: Uint8Array): void => {
  if (bytes.length <= 0xff) writer.uint16(0xc400 | bytes.length)
  else writeLength(writer, bytes.length, 0, noFixedForm, 0xc5)
  writer.bytes(bytes)
}

const writeObject = (writer: ByteWriter, value: object, depth: number): void => {
  if (value instanceof Uint8Array) writeBytes(writer, value)
  else if (Array.isArray(value)) {
    writeLength(writer, value.length, 0x90, 0x0f, 0xdc)
    for (const item of value) write(writer, item, depth + 1)
  } else {
    const entries = Object.entries(value).filter((entry) => entry[1] !== undefined)
    writeLength(writer, entries.length, 0x80, 0x0f, 0xde)
    for (const [key, item] of entries) {
      writeText(writer, key)
      write(writer, item, depth + 1)
    }
  }
}

const write = (writer: ByteWriter, value: unknown, depth: number): void => {
  if (depth > depthMax) throw new BytesError(`a value is nested deeper than ${depthMax}`)
  switch (typeof value) {
    case "undefined":
      return writer.uint8(0xc0)
    case "boolean":
      return writer.uint8(value ? 0xc3 : 0xc2)
    case "string":
      return writeText(writer, value)
    case "number":
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) return writeInteger(writer, value)
      writer.uint8(0xcb)
      return writer.float64(value)
    case "object":
      return value === null ? writer.uint8(0xc0) : writeObject(writer, value, depth)
    default:
      throw new BytesError(`a ${typeof value} cannot be written`)
  }
}

/** Throws `BytesError` on what has no form here. */
export const writeMsgpack = (writer: ByteWriter, value: unknown): void => write(writer, value, 0)

const readArray = (reader: ByteReader, count: number, depth: number): Array<unknown> => {
  if (count > reader.remaining) throw new BytesError(`${count} values in ${reader.remaining} bytes`)
  const values: Array<unknown> = []
  for (let at = 0; at < count; at++) values.push(read(reader, depth + 1))
  return values
}

const readKey = (reader: ByteReader): string => {
  const code = reader.uint8()
  if ((code & 0xe0) === 0xa0) return reader.utf8(code & 0x1f)
  if (code === 0xd9) return reader.utf8(reader.uint8())
  if (code === 0xda) return reader.utf8(reader.uint16())
  throw new BytesError(`the key of a map begins with ${code}: it is no short text`)
}

const readMap = (reader: ByteReader, count: number, depth: number): Record<string, unknown> => {
  if (count * 2 > reader.remaining) throw new BytesError(`${count} keys in ${reader.remaining} bytes`)
  const map: Record<string, unknown> = {}
  for (let at = 0; at < count; at++) {
    const key = readKey(reader)
    if (key === "__proto__") throw new BytesError("a map has the key __proto__")
    map[key] = read(reader, depth + 1)
  }
  return map
}

const read = (reader: ByteReader, depth: number): unknown => {
  if (depth > depthMax) throw new BytesError(`a value is nested deeper than ${depthMax}`)
  const code = reader.uint8()
  if (code < 0x80) return code
  if (code < 0x90) return readMap(reader, code & 0x0f, depth)
  if (code < 0xa0) return readArray(reader, code & 0x0f, depth)
  if (code < 0xc0) return reader.utf8(code & 0x1f)
  if (code >= 0xe0) return code - 0x100
  switch (code) {
    case 0xc0:
      return null
    case 0xc2:
      return false
    case 0xc3:
      return true
    case 0xc4:
      return reader.bytes(reader.uint8())
    case 0xc5:
      return reader.bytes(reader.uint16())
    case 0xc6:
      return reader.bytes(reader.uint32())
    case 0xcb:
      return reader.float64()
    case 0xcc:
      return reader.uint8()
    case 0xcd:
      return reader.uint16()
    case 0xce:
      return reader.uint32()
    case 0xcf:
      return reader.uint64()
    case 0xd0:
      return reader.int8()
    case 0xd1:
      return reader.int16()
    case 0xd2:
      return reader.int32()
    case 0xd3:
      return reader.int64()
    case 0xd9:
      return reader.utf8(reader.uint8())
    case 0xda:
      return reader.utf8(reader.uint16())
    case 0xdb:
      return reader.utf8(reader.uint32())
    case 0xdc:
      return readArray(reader, reader.uint16(), depth)
    case 0xdd:
      return readArray(reader, reader.uint32(), depth)
    case 0xde:
      return readMap(reader, reader.uint16(), depth)
    case 0xdf:
      return readMap(reader, reader.uint32(), depth)
    default:
      throw new BytesError(`a value begins with ${code}`)
  }
}

/** One value; bytes in it are not copied. Throws `BytesError` on what is none, or is cut short. */
export const readMsgpack = (reader: ByteReader): unknown => read(reader, 0)

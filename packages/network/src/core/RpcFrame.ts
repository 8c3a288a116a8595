/**
 * One RPC message as the bytes of one frame: a msgpack value. Nothing is kept between frames, so that no state of one can spoil the
 * next.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { BytesError } from "@effectmq/bytes/BytesError"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import { readMsgpack, writeMsgpack } from "@effectmq/bytes/Msgpack"

const keptBytesMax = 64 * 1024
const writer = new ByteWriter({ sizeBytes: keptBytesMax })

/** @throws BytesError where the message holds what msgpack has no form for */
export const packFrame = (message: unknown): Uint8Array => {
  writer.reset(keptBytesMax)
  writeMsgpack(writer, message)
  // A buffer that grew is not kept: it can be given away.
  return writer.buffer.length > keptBytesMax ? writer.view() : writer.copy()
}

/** Bytes in it are slices of the frame. @throws BytesError where the bytes are not one msgpack value */
export const unpackFrame = (frame: Uint8Array): unknown => {
  const reader = new ByteReader(frame)
  const message = readMsgpack(reader)
  if (reader.remaining > 0) throw new BytesError(`${reader.remaining} bytes behind a message`)
  return message
}

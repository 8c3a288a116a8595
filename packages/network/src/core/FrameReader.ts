/**
 * Finds frames in chunks: u32 length (big endian), then so many bytes. A frame of length 0 is a sign of life.
 *
 * Invariant: no more than one frame of `bytesMax` and a chunk are held. Frames are slices of what came in: they are not copied
 * where a chunk holds them whole.
 */
import { Buffer } from "node:buffer"

export const frameHeaderBytes = 4

export class FrameTooLarge extends Error {
  constructor(bytes: number, bytesMax: number) {
    super(`a frame of ${bytes} bytes is larger than ${bytesMax}`)
  }
}

export class FrameReader {
  private rest: Array<Buffer> = []
  private restBytes = 0
  /** Bytes that must be there before it is worth looking again. */
  private wanted = frameHeaderBytes

  constructor(public bytesMax: number) {}

  /** Calls back for every frame that is whole; stops when the callback answers false. @throws FrameTooLarge */
  read(chunk: Buffer, onFrame: (frame: Buffer) => boolean): void {
    this.rest.push(chunk)
    this.restBytes += chunk.length
    if (this.restBytes < this.wanted) return
    const bytes = this.rest.length === 1 ? chunk : Buffer.concat(this.rest)
    this.rest = []
    this.restBytes = 0
    let at = 0
    for (;;) {
      const left = bytes.length - at
      if (left < frameHeaderBytes) {
        this.wanted = frameHeaderBytes
        break
      }
      const length = bytes.readUInt32BE(at)
      if (length > this.bytesMax) throw new FrameTooLarge(length, this.bytesMax)
      if (left < frameHeaderBytes + length) {
        this.wanted = frameHeaderBytes + length
        break
      }
      const start = at + frameHeaderBytes
      at = start + length
      if (!onFrame(bytes.subarray(start, at))) return
    }
    if (at < bytes.length) {
      this.rest.push(bytes.subarray(at))
      this.restBytes = bytes.length - at
    }
  }
}

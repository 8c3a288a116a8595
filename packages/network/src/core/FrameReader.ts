/**
 * Finds frames in chunks: u32 length (big endian), then so many bytes. A frame of length 0 is a sign of life.
 *
 * Invariant: what is held is less than one frame of `bytesMax`, in one buffer of at most twice what has come of it, however small
 * the chunks are. Frames are slices of what came in: they are not copied where a chunk holds them whole.
 */
import { Buffer } from "node:buffer"

export const frameHeaderBytes = 4

export class FrameTooLarge extends Error {
  constructor(
    readonly bytes: number,
    bytesMax: number
  ) {
    super(`a frame of ${bytes} bytes is larger than ${bytesMax}`)
  }
}

const nothing = Buffer.alloc(0)

export class FrameReader {
  /** The beginning of a frame is in the first `heldBytes` of it; what is behind them is free. */
  private held: Buffer = nothing
  private heldBytes = 0
  /** Bytes that must be there before it is worth looking again. */
  private wanted = frameHeaderBytes

  constructor(public bytesMax: number) {}

  /** Calls back for every frame that is whole; stops for good when the callback answers false. @throws FrameTooLarge */
  read(chunk: Buffer, onFrame: (frame: Buffer) => boolean): void {
    const bytes = this.heldBytes === 0 ? chunk : this.append(chunk)
    let at = 0
    while (bytes.length - at >= this.wanted) {
      const length = bytes.readUInt32BE(at)
      if (length > this.bytesMax) throw new FrameTooLarge(length, this.bytesMax)
      const end = at + frameHeaderBytes + length
      if (end > bytes.length) {
        this.wanted = frameHeaderBytes + length
        break
      }
      this.wanted = frameHeaderBytes
      if (!onFrame(bytes.subarray(at + frameHeaderBytes, end))) return
      at = end
    }
    this.heldBytes = bytes.length - at
    // Where nothing was taken from the buffer it goes on growing in place.
    if (bytes === chunk || at > 0) this.held = bytes.subarray(at)
  }

  /** What is held with the chunk behind it. The buffer grows in doubles, up to the frame that it waits for. */
  private append(chunk: Buffer): Buffer {
    const bytes = this.heldBytes + chunk.length
    if (bytes > this.held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(this.wanted, bytes * 2)))
      this.held.copy(grown, 0, 0, this.heldBytes)
      this.held = grown
    }
    chunk.copy(this.held, this.heldBytes)
    return this.held.subarray(0, bytes)
  }
}

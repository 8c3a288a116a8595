/**
 * Copies a range of bytes the way that is fastest for its size: the runtime's copy costs a call and, for a part of a buffer, a view.
 */
const loopBytesMax = 16
/** A larger source is not kept alive for being the last. */
const rememberedBytesMax = 256 * 1024

/** The last source, its memory and where it lies in it: to ask a buffer for these takes as long as to copy. */
let lastSource: Uint8Array = new Uint8Array(0)
let lastMemory: ArrayBufferLike = lastSource.buffer
let lastStart = 0

const viewOf = (source: Uint8Array, start: number, end: number): Uint8Array => {
  if (source !== lastSource) {
    if (source.length > rememberedBytesMax) return source.subarray(start, end)
    lastSource = source
    lastMemory = source.buffer
    lastStart = source.byteOffset
  }
  return new Uint8Array(lastMemory, lastStart + start, end - start)
}

/** Copies `source[start, end)` to `target` from `at` on; there is room. Returns the position behind it. */
export const copyBytes = (target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number => {
  const size = end - start
  if (size <= loopBytesMax) for (let from = start, to = at; from < end; from++, to++) target[to] = source[from] as number
  else target.set(size === source.length ? source : viewOf(source, start, end), at)
  return at + size
}

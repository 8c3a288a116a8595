/**
 * The memory that output is gathered in, shared by all connections of the process.
 *
 * Two sizes: a connection's first bytes in a tick go into a small slab, so that a fan-out to ten thousand readers does not take
 * a big one for each; who writes more is moved to a large one. An idle connection holds none. Free slabs are kept up to a bound.
 */
import { Buffer } from "node:buffer"

export const smallSlabBytes = 4 * 1024
export const largeSlabBytes = 64 * 1024

const freeSmallMax = 1024
const freeLargeMax = 128

const freeSmall: Array<Buffer> = []
const freeLarge: Array<Buffer> = []

/** The buffer of a connection that holds no slab. */
export const noSlab: Buffer = Buffer.alloc(0)

/** Where writes to a closed connection go: written by many, read by nobody. */
export const scrapSlab: Buffer = Buffer.allocUnsafeSlow(largeSlabBytes)

export const takeSmallSlab = (): Buffer => freeSmall.pop() ?? Buffer.allocUnsafeSlow(smallSlabBytes)

export const takeLargeSlab = (): Buffer => freeLarge.pop() ?? Buffer.allocUnsafeSlow(largeSlabBytes)

/** Gives a buffer back. One of another size than the two was made for a single big message and is left to the collector. */
export const releaseSlab = (slab: Buffer): void => {
  if (slab.length === smallSlabBytes) {
    if (freeSmall.length < freeSmallMax) freeSmall.push(slab)
  } else if (slab.length === largeSlabBytes && slab !== scrapSlab) {
    if (freeLarge.length < freeLargeMax) freeLarge.push(slab)
  }
}

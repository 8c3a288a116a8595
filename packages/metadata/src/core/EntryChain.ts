/**
 * What one entry of the metadata log holds, and the chain that ties every applied entry to all before it.
 *
 *     data of an entry   = event lines, UTF-8, joined by one line feed
 *     hash of an entry   = SHA-256(hash before (32) | index (u64 BE) | length of data (u32 BE) | data)
 *
 * The chain begins with 32 zero bytes. Two members that applied the same entries have the same hash at the same index.
 */
import { createHash } from "node:crypto"

/** Everything applied up to `index` has this hash. */
export interface ChainPoint {
  readonly index: number
  readonly hash: Uint8Array
}

export const chainStart: ChainPoint = { index: 0, hash: new Uint8Array(32) }

export const chainAfter = (previous: Uint8Array, index: number, data: Uint8Array): Uint8Array => {
  const numbers = Buffer.alloc(12)
  numbers.writeBigUInt64BE(BigInt(index), 0)
  numbers.writeUInt32BE(data.length, 8)
  return createHash("sha256").update(previous).update(numbers).update(data).digest()
}

export const hashToHex = (hash: Uint8Array): string => Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString("hex")

/** undefined where it is not the hash of a chain. */
export const hashOfHex = (text: string): Uint8Array | undefined =>
  /^[0-9a-f]{64}$/.test(text) ? Buffer.from(text, "hex") : undefined

export const sameHash = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0

export const entryData = (lines: ReadonlyArray<string>): Uint8Array => Buffer.from(lines.join("\n"), "utf8")

export const entryLines = (data: Uint8Array): ReadonlyArray<string> =>
  data.length === 0 ? [] : Buffer.from(data.buffer, data.byteOffset, data.length).toString("utf8").split("\n")

/**
 * A password hash as text, in the PHC string format: `$scrypt$ln=14,r=8,p=1$<salt>$<hash>`, base64 without padding.
 *
 * Parameters are bounded when read, so that a stored text cannot make the broker spend gigabytes or minutes.
 */
export interface ScryptHash {
  /** Binary logarithm of the cost N. */
  readonly costLog2: number
  readonly blockSize: number
  readonly parallelism: number
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

/** What one hash may take: 128 * N * r bytes of memory. */
export const memoryBytesMax = 256 * 1024 * 1024

const encode = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64").replace(/=+$/, "")

/** Bytes of memory that computing such a hash takes. */
export const memoryBytesOf = (parameters: { readonly costLog2: number; readonly blockSize: number }): number =>
  128 * 2 ** parameters.costLog2 * parameters.blockSize

export const formatScrypt = ({ blockSize, costLog2, hash, parallelism, salt }: ScryptHash): string =>
  `$scrypt$ln=${costLog2},r=${blockSize},p=${parallelism}$${encode(salt)}$${encode(hash)}`

const pattern = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{1,128})\$([A-Za-z0-9+/]{1,128})$/

/** undefined where the text is no scrypt hash, or one beyond the bounds. */
export const parseScrypt = (text: string): ScryptHash | undefined => {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [costLog2, blockSize, parallelism] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const salt = Buffer.from(match[4] as string, "base64")
  const hash = Buffer.from(match[5] as string, "base64")
  const inBounds = costLog2 >= 1 && costLog2 <= 24 && blockSize >= 1 && parallelism >= 1 && parallelism <= 16
  if (!inBounds || memoryBytesOf({ costLog2, blockSize }) > memoryBytesMax) return undefined
  return salt.length < 8 || hash.length < 16 ? undefined : { costLog2, blockSize, parallelism, salt, hash }
}

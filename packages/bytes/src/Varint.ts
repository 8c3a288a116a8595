/**
 * Variable-length integers: seven bits a byte, low bits first, the top bit set on all bytes but the last.
 *
 * | kind            | range                      | bytes    | encoding                                    |
 * | --------------- | -------------------------- | -------- | ------------------------------------------- |
 * | unsigned varint | 0 to 2^32 - 1              | 1 to 5   | as is                                       |
 * | varint          | -2^31 to 2^31 - 1          | 1 to 5   | zigzag (0, -1, 1, -2 are 0, 1, 2, 3)        |
 * | varlong         | -(2^53 - 1) to 2^53 - 1    | 1 to 8   | zigzag of the same kind, a number in memory |
 *
 * Writers take a position and return the one after; the caller has made room (`varintBytesMax`). `ByteReader` reads them.
 */
export const varintBytesMax = 5
export const varlongBytesMax = 10

export const writeUnsignedVarint = (target: Uint8Array, position: number, value: number): number => {
  let rest = value >>> 0
  let at = position
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

export const writeVarint = (target: Uint8Array, position: number, value: number): number =>
  writeUnsignedVarint(target, position, (value << 1) ^ (value >> 31))

export const writeVarlong = (target: Uint8Array, position: number, value: number): number => {
  if (value >= -0x80000000 && value <= 0x7fffffff) return writeVarint(target, position, value)
  // Above 2^31 numbers have no bitwise operators: split off the lowest seven bits (one of them the sign), then divide.
  const magnitude = value < 0 ? -(value + 1) : value
  target[position] = ((magnitude % 64) << 1) | (value < 0 ? 1 : 0) | 0x80
  let rest = Math.floor(magnitude / 64)
  let at = position + 1
  while (rest > 0x7f) {
    target[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  target[at++] = rest
  return at
}

export const unsignedVarintSizeBytes = (value: number): number => {
  const rest = value >>> 0
  return rest < 0x80 ? 1 : rest < 0x4000 ? 2 : rest < 0x200000 ? 3 : rest < 0x10000000 ? 4 : 5
}

export const varintSizeBytes = (value: number): number => unsignedVarintSizeBytes((value << 1) ^ (value >> 31))

export const varlongSizeBytes = (value: number): number => {
  if (value >= -0x80000000 && value <= 0x7fffffff) return varintSizeBytes(value)
  let size = 1
  for (let rest = Math.floor((value < 0 ? -(value + 1) : value) / 64); rest > 0; rest = Math.floor(rest / 128)) size++
  return size
}

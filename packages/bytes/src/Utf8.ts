/**
 * Short texts as UTF-8, without a call into the runtime where they are ASCII: sizes first, because they stand before the text.
 */

/** Up to this length a loop is faster than the runtime's encoder. */
const loopLengthMax = 32

/** How many bytes the text takes. */
export const utf8SizeBytes = (text: string): number => {
  const { length } = text
  if (length > loopLengthMax) return Buffer.byteLength(text)
  for (let index = 0; index < length; index++) if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text)
  return length
}

/** Writes the text, whose size is `sizeBytes`; there is room. Returns the position behind it. */
export const writeUtf8 = (target: Buffer, at: number, text: string, sizeBytes: number): number => {
  const { length } = text
  if (sizeBytes !== length) target.write(text, at, sizeBytes)
  else if (length > loopLengthMax) target.write(text, at, sizeBytes, "latin1")
  else for (let index = 0; index < length; index++) target[at + index] = text.charCodeAt(index)
  return at + sizeBytes
}

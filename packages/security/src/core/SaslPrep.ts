/**
 * Prepares a password before it is hashed for SCRAM (SASLprep, RFC 4013), so that the same characters typed on two systems give
 * the same bytes. The rule on text that runs in both directions is left to the client.
 */

/** RFC 3454 C.1.2: spaces other than the ASCII one. */
const otherSpaces = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g

/** RFC 3454 B.1: mapped to nothing. */
const mappedToNothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/gu

/** RFC 3454 C.2.1, C.2.2, C.3, C.4, C.5, C.6, C.7, C.8, C.9: control, private use, surrogates, tags and the like. */
const prohibited =
  /[\u0000-\u001f\u007f-\u009f\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u2061-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufff9-\ufffd]|\u0340|\u0341|[\u{1d173}-\u{1d17a}]|\p{Private_Use}|\p{Noncharacter_Code_Point}|\p{Surrogate}|[\u{e0001}\u{e0020}-\u{e007f}]/u

/** The prepared text; undefined where it holds a prohibited character or nothing is left. */
export const saslPrep = (text: string): string | undefined => {
  const prepared = text.replace(mappedToNothing, "").replace(otherSpaces, " ").normalize("NFKC")
  return prepared === "" || prohibited.test(prepared) ? undefined : prepared
}

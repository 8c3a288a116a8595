/**
 * JSON whose bytes depend on the value alone: keys in code-unit order, no spaces, absent and undefined fields left out.
 * What is stored, hashed or compared between nodes is written with it. The text is one line.
 */
export type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [key: string]: Json | undefined }

/** Throws on a number that JSON cannot carry: that is a bug of the caller. */
export const stableJson = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map(stableJson).join(",")}]`
  if (typeof value === "object" && value !== null) {
    const fields = value as { readonly [key: string]: Json | undefined }
    let out = ""
    for (const key of Object.keys(fields).sort()) {
      const field = fields[key]
      if (field !== undefined) out += `${out === "" ? "" : ","}${JSON.stringify(key)}:${stableJson(field)}`
    }
    return `{${out}}`
  }
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`not a JSON number: ${value}`)
  return JSON.stringify(value)
}

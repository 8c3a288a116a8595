/**
 * Overwrites comments and strings of a TypeScript text with spaces, so that rules see code only. Line breaks and positions
 * stay.
 *
 * A scanner, not a parser: a `/` begins a regular expression where no value can have ended just before it.
 */
export interface Blanked {
  /** Comments, string contents and regular expressions blanked. */
  readonly code: string
  /** Comments and regular expressions blanked; strings kept. */
  readonly withStrings: string
}

const canPrecedeRegExp = (before: string): boolean => {
  const trimmed = before.trimEnd()
  const last = trimmed.at(-1)
  if (last === undefined || "(,=:[!&|?{};+-*%<>~^".includes(last)) return true
  return /\b(return|typeof|case|in|of|do|else|void|delete|throw|new|yield|await)$/.test(trimmed.slice(-12))
}

const endOfString = (text: string, start: number, quote: string): number => {
  let i = start + 1
  while (i < text.length && text[i] !== quote && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1
  return Math.min(i + 1, text.length)
}

const endOfRegExp = (text: string, start: number): number => {
  let inClass = false
  let i = start + 1
  for (; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "\\") i++
    else if (text[i] === "[") inClass = true
    else if (text[i] === "]") inClass = false
    else if (text[i] === "/" && !inClass) break
  }
  return Math.min(i + 1, text.length)
}

/** End of the literal part of a template that goes on at `start`: behind the closing backtick or behind `${`. */
const endOfTemplatePart = (text: string, start: number): number => {
  let i = start
  while (i < text.length && text[i] !== "`" && !(text[i] === "$" && text[i + 1] === "{")) i += text[i] === "\\" ? 2 : 1
  return Math.min(text[i] === "$" ? i + 2 : i + 1, text.length)
}

export const blank = (text: string): Blanked => {
  const code: Array<string> = []
  const withStrings: Array<string> = []
  // Depth of braces at which each open template's `${` began.
  const templates: Array<number> = []
  let depth = 0
  let i = 0
  // Code from here to `i` is kept and not yet copied.
  let kept = 0
  const flush = () => {
    const part = text.slice(kept, i)
    code.push(part)
    withStrings.push(part)
    kept = i
  }
  const drop = (end: number, string: boolean) => {
    flush()
    const part = text.slice(i, end)
    const spaces = part.replace(/[^\n]/g, " ")
    code.push(string && spaces.length > 1 ? `"${spaces.slice(1, -1)}"` : spaces)
    withStrings.push(string ? part : spaces)
    i = end
    kept = end
  }
  const dropTemplate = (end: number) => {
    const opens = text[end - 1] === "{"
    drop(opens ? end - 2 : end, false)
    if (!opens) return
    templates.push(depth)
    i = end
    depth++
  }
  /** The last code before `i`; what was blanked counts as the string or space it became. */
  const before = () => {
    const part = text.slice(Math.max(kept, i - 200), i)
    return part.trim() === "" ? `${code.slice(-4).join("")}${part}` : part
  }
  while (i < text.length) {
    const char = text[i] as string
    const next = text[i + 1]
    if (char === "/" && next === "/") {
      const end = text.indexOf("\n", i)
      drop(end < 0 ? text.length : end, false)
    } else if (char === "/" && next === "*") {
      const end = text.indexOf("*/", i + 2)
      drop(end < 0 ? text.length : end + 2, false)
    } else if (char === '"' || char === "'") drop(endOfString(text, i, char), true)
    else if (char === "`") dropTemplate(endOfTemplatePart(text, i + 1))
    else if (char === "/" && canPrecedeRegExp(before())) drop(endOfRegExp(text, i), false)
    else if (char === "}" && templates.at(-1) === depth - 1) {
      templates.pop()
      depth--
      i++
      dropTemplate(endOfTemplatePart(text, i))
    } else {
      if (char === "{") depth++
      if (char === "}") depth--
      i++
    }
  }
  flush()
  return { code: code.join(""), withStrings: withStrings.join("") }
}

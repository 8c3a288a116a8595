/**
 * How much work a regular expression can be made to do: Node's engine goes back and tries again, and a topic is chosen by
 * whoever publishes to it.
 *
 * What can take exponential time is refused: a repeated group with a repetition, something optional or an alternative in it, and references back.
 * What is left takes at most `length * product of places / k!` steps, where each of the `k` repetitions that could stop at
 * more than one place has as many places as the topic has characters, or levels where a `/` follows it.
 */
export interface RegexShape {
  readonly groups: number
  /** Repetitions that can stop in front of any `/`. */
  readonly bySlash: number
  /** Repetitions that can stop anywhere. */
  readonly anywhere: number
}

interface Repetition {
  readonly withoutSlash: boolean
  /** Index of the token that follows. */
  readonly next: number
}

interface Token {
  readonly kind: "char" | "class" | "open" | "close" | "or" | "start" | "end"
  readonly text: string
  /** Can be there more than once. */
  readonly repeated: boolean
  /** Can be there more or fewer times. */
  readonly variable: boolean
  /** Can be there any number of times, or so many that it is all the same. */
  readonly unbounded: boolean
}

/** `{2,9}` and more is as good as `*`. */
const timesMax = 8

/** Cut into tokens, each with the quantifier behind it. The pattern compiles. */
const tokensOf = (pattern: string): ReadonlyArray<Token> => {
  const tokens: Array<Token> = []
  for (let at = 0; at < pattern.length; ) {
    const rest = pattern.slice(at)
    const text = (/^(\\.|\[(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|:|<\w+>)|[\s\S])/.exec(rest) as RegExpExecArray)[0]
    at += text.length
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/.exec(pattern.slice(at))?.[0] ?? ""
    const kind = kindOf(text)
    if (kind !== "open" && kind !== "or") at += quantifier.length
    const times = /^\{(\d+)(,?)(\d*)/.exec(quantifier)
    const most = times === null ? (/^[*+]/.test(quantifier) ? Infinity : 1) : mostOf(times)
    const variable = times === null ? quantifier !== "" : most !== Number(times[1])
    tokens.push({ kind, text, repeated: most > 1, variable, unbounded: variable && most > timesMax })
  }
  return tokens
}

const mostOf = ([, least, comma, most]: RegExpExecArray): number =>
  most !== "" ? Number(most) : comma === "" ? Number(least) : Number.POSITIVE_INFINITY

const kindOf = (text: string): Token["kind"] => {
  if (text.startsWith("(")) return "open"
  if (text === ")") return "close"
  if (text === "|") return "or"
  if (text === "^") return "start"
  if (text === "$") return "end"
  return text === "." || text.startsWith("[") || /^\\[dDwWsSbB]$/.test(text) ? "class" : "char"
}

const excludesSlash = ({ kind, text }: Token): boolean => {
  if (kind === "char") return text !== "/" && text !== "\\/"
  if (text === "\\d" || text === "\\w" || text === "\\s") return true
  if (text.startsWith("[^")) return text.includes("/")
  return text.startsWith("[") && !/[/\\]|.-./.test(text.replace(/a-z|A-Z|0-9|\\[dws]/g, ""))
}

/** The shape of a pattern that compiles, or why it is refused. */
export const shapeOf = (pattern: string): RegexShape | string => {
  const tokens = tokensOf(pattern)
  const open: Array<{ danger: boolean }> = []
  const repetitions: Array<Repetition> = []
  let groups = 0
  let alternatives = false
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as Token
    if (/^\\[1-9k]/.test(token.text)) return "a reference back to a group can take too long"
    if (token.kind === "open") {
      open.push({ danger: false })
      if (token.text === "(" || /^\(\?<\w/.test(token.text)) groups++
    } else if (token.kind === "close") {
      const { danger } = open.pop() as { danger: boolean }
      if (token.repeated && danger) return "a repetition or an alternative in a repeated group can take too long"
      const outer = open[open.length - 1]
      if (outer !== undefined) outer.danger ||= danger || token.variable
      if (token.unbounded) repetitions.push({ withoutSlash: false, next: index + 1 })
    } else if (token.kind === "or") {
      if (open.length === 0) alternatives = true
      for (const group of open) group.danger = true
    } else if (token.variable) {
      const inner = open[open.length - 1]
      if (inner !== undefined) inner.danger = true
      if (token.unbounded) repetitions.push({ withoutSlash: excludesSlash(token), next: index + 1 })
    }
  }
  let bySlash = 0
  // Without an anchor the match can begin anywhere.
  let anywhere = tokens[0]?.kind === "start" && !alternatives ? 0 : 1
  for (const { withoutSlash, next } of repetitions) {
    const follower = followerOf(tokens, next)
    const slashFollows = follower !== undefined && (follower.text === "/" || follower.text === "\\/") && !follower.unbounded
    if (follower?.kind === "end" || (slashFollows && withoutSlash)) continue
    if (slashFollows) bySlash++
    else anywhere++
  }
  return { groups, bySlash, anywhere }
}

const followerOf = (tokens: ReadonlyArray<Token>, from: number): Token | undefined => {
  let index = from
  while (tokens[index]?.kind === "close" || tokens[index]?.kind === "open") index++
  return tokens[index]
}

/** The most steps that a text of so many characters and levels takes. */
export const stepsMax = ({ bySlash, anywhere }: RegexShape, length: number, levels: number): number => {
  let steps = length + 1
  for (let index = 1; index <= bySlash; index++) steps *= Math.max(1, levels / index)
  for (let index = 1; index <= anywhere; index++) steps *= Math.max(1, length / index)
  return steps
}

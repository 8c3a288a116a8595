/**
 * Rewrites topics of publishes and filters of subscriptions by rules.
 *
 * As in EMQX, the last rule whose source filter matches decides; where its regular expression does not match, the topic stays
 * as it is and no other rule is tried. A filter of a shared or exclusive subscription is rewritten behind its prefix.
 *
 * Invariants
 * - A rule takes bounded time, whatever the topic is; a topic it would take longer for is refused (see RegexCost).
 * - What clients choose (client id, user) never becomes a wildcard, and what a group caught is taken as it stands.
 */
import * as Data from "effect/Data"
import { filterError, hasWildcard, matchesFilter } from "@effectmq/messaging/core/TopicFilter"
import type { RewriteRule } from "../../core/MqttOptions.js"
import { type RegexShape, shapeOf, stepsMax } from "./RegexCost.js"

/** Placeholders that differ from client to client. */
const clientIdPart = Symbol("%c")
const userPart = Symbol("%u")
type ClientPart = typeof clientIdPart | typeof userPart

/** A text, the number of a group, or a client's part. */
type TemplatePart = string | number | ClientPart

interface CompiledRule {
  readonly source: string
  readonly regex: RegExp
  readonly shape: RegexShape
  readonly dest: ReadonlyArray<TemplatePart>
}

/** What a topic becomes: a text, one with parts to fill in, or refused. */
type Outcome = string | ReadonlyArray<string | ClientPart> | undefined

const regexLengthMax = 512
const stepsBudget = 1_000_000
/** Topics whose outcome is remembered; at the bound all are forgotten. */
const outcomesMax = 4096
const anyLimits = { lengthMax: 65_535, levelsMax: 65_535 }

const partsOf = (dest: string): ReadonlyArray<TemplatePart> =>
  dest
    .split(/(\$[1-9]|%c|%u)/)
    .filter((part) => part !== "")
    .map((part) => (part === "%c" ? clientIdPart : part === "%u" ? userPart : /^\$[1-9]$/.test(part) ? Number(part[1]) : part))

/** What is wrong with a rule; undefined where nothing is. */
export const rewriteRuleError = (rule: RewriteRule): string | undefined => {
  const filter = filterError(rule.source, anyLimits)
  if (filter !== undefined) return `source is no topic filter: ${filter}`
  if (rule.regex.length > regexLengthMax) return `regex has more than ${regexLengthMax} characters`
  try {
    new RegExp(rule.regex)
  } catch (error) {
    return `regex: ${(error as Error).message}`
  }
  const shape = shapeOf(rule.regex)
  if (typeof shape === "string") return `regex: ${shape}`
  for (const part of partsOf(rule.dest)) {
    if (typeof part === "number" && part > shape.groups) return `dest has $${part}, and regex has ${shape.groups} groups`
  }
  if (rule.action !== "subscribe" && hasWildcard(rule.dest)) return "dest has a wildcard, and nothing can be published to one"
  return undefined
}

/** A rule that the broker will not start with; `index` counts from 0. */
export class InvalidRewriteRule extends Data.TaggedError("InvalidRewriteRule")<{
  readonly index: number
  readonly problem: string
}> {
  override get message(): string {
    return `mqtt.rewrite[${this.index}]: ${this.problem}`
  }
}

/** The first rule that is wrong. */
export const invalidRewriteRule = (rules: ReadonlyArray<RewriteRule>): InvalidRewriteRule | undefined => {
  for (const [index, rule] of rules.entries()) {
    const problem = rewriteRuleError(rule)
    if (problem !== undefined) return new InvalidRewriteRule({ index, problem })
  }
  return undefined
}

export class TopicRewrite {
  private readonly rules: ReadonlyArray<CompiledRule>
  private readonly outcomes = new Map<string, Outcome>()

  /** @throws Error where `rewriteRuleError` finds one */
  constructor(rules: ReadonlyArray<RewriteRule>, action: "publish" | "subscribe") {
    this.rules = rules
      .filter((rule) => rule.action === "all" || rule.action === action)
      .map((rule) => {
        const error = rewriteRuleError(rule)
        if (error !== undefined) throw new Error(`rewrite rule for ${rule.source}: ${error}`)
        return {
          source: rule.source,
          regex: new RegExp(rule.regex),
          shape: shapeOf(rule.regex) as RegexShape,
          dest: partsOf(rule.dest)
        }
      })
      .reverse()
  }

  /** What the topic or filter becomes, itself where no rule is for it; undefined where it is refused. */
  apply(text: string, clientId: string, user: string | undefined): string | undefined {
    if (this.rules.length === 0) return text
    let outcome = this.outcomes.get(text)
    if (outcome === undefined) {
      outcome = this.outcomeOf(text)
      if (this.outcomes.size >= outcomesMax) this.outcomes.clear()
      this.outcomes.set(text, outcome)
    }
    if (outcome === undefined || typeof outcome === "string") return outcome
    let filled = ""
    for (const part of outcome) {
      const value = part === clientIdPart ? clientId : part === userPart ? (user ?? "") : (part as string)
      if (typeof part === "symbol" && hasWildcard(value)) return undefined
      filled += value
    }
    return filled
  }

  private outcomeOf(text: string): Outcome {
    const rule = this.rules.find(({ source }) => matchesFilter(source, text))
    if (rule === undefined) return text
    const levels = text.split("/").length
    if (stepsMax(rule.shape, text.length, levels) > stepsBudget) return undefined
    const match = rule.regex.exec(text)
    if (match === null) return text
    const parts = rule.dest.map((part) => (typeof part === "number" ? (match[part] ?? "") : part))
    return parts.some((part) => typeof part === "symbol") ? parts : parts.join("")
  }
}

/** `%c` becomes the client id, `%u` the user. */
export const fillIn = (template: string, clientId: string, user: string | undefined): string =>
  template.replace(/%[cu]/g, (placeholder) => (placeholder === "%c" ? clientId : (user ?? "")))

/** The same for a filter; undefined where one of them would become a wildcard of the filter. */
export const fillInFilter = (template: string, clientId: string, user: string | undefined): string | undefined => {
  if (template.includes("%c") && hasWildcard(clientId)) return undefined
  if (template.includes("%u") && hasWildcard(user ?? "")) return undefined
  return fillIn(template, clientId, user)
}

/**
 * What the broker makes of topics and filters before routing: limits, topics that are its own, rewriting, `$delayed`.
 */
import {
  filterError,
  hasWildcard,
  matchesFilter,
  parseFilter,
  topicNameError,
  type TopicLimits
} from "@effectmq/messaging/core/TopicFilter"
import { ReasonCode } from "../codec/ReasonCode.js"
import type { MqttOptions, RewriteRule } from "./MqttOptions.js"
import type { SubscribeTarget } from "./Session.js"

/** What a publish to a topic comes to. */
export interface TopicVerdict {
  /** 0, or the reason why it is refused. */
  readonly reasonCode: number
  /** Where it is published. */
  readonly topic: string
  /** Wall-clock ms at which it is published, for a publish at `nowMs`; undefined: at once. */
  readonly dueMs: ((nowMs: number) => number) | undefined
}

interface CompiledRule {
  readonly rule: RewriteRule
  readonly regex: RegExp
}

/** Seconds since 1970 above which a delay is a point in time. */
const absoluteSecondsMin = 1_000_000_000

export class TopicRules {
  private readonly limits: TopicLimits
  private readonly publishRules: ReadonlyArray<CompiledRule>
  private readonly subscribeRules: ReadonlyArray<CompiledRule>

  constructor(private readonly options: MqttOptions) {
    this.limits = { lengthMax: options.topicLengthMax, levelsMax: options.topicLevelsMax }
    const compile = (action: "publish" | "subscribe") =>
      options.rewrite
        .filter((rule) => rule.action === "all" || rule.action === action)
        .map((rule) => ({ rule, regex: new RegExp(rule.regex) }))
    this.publishRules = compile("publish")
    this.subscribeRules = compile("subscribe")
  }

  /** Judges the topic of a publish, or of a will. */
  publish(topic: string, clientId: string, user: string | undefined): TopicVerdict {
    if (topicNameError(topic, this.limits) !== undefined) return refuse(topic, ReasonCode.topicNameInvalid)
    if (topic.charCodeAt(0) === 0x24) {
      // The broker alone says what stands under $SYS.
      if (topic.startsWith("$SYS/") || topic === "$SYS") return refuse(topic, ReasonCode.notAuthorized)
      if (this.options.delayedEnabled && topic.startsWith("$delayed/")) return this.delayed(topic, clientId, user)
      if (topic.startsWith("$share/") || topic.startsWith("$exclusive/")) return refuse(topic, ReasonCode.topicNameInvalid)
    }
    const rewritten = rewrite(this.publishRules, topic, clientId, user)
    if (rewritten !== topic && topicNameError(rewritten, this.limits) !== undefined) {
      return refuse(topic, ReasonCode.topicNameInvalid)
    }
    return { reasonCode: ReasonCode.success, topic: rewritten, dueMs: undefined }
  }

  /** `$delayed/<seconds>/<topic>`; seconds of a billion and more are a time since 1970. */
  private delayed(text: string, clientId: string, user: string | undefined): TopicVerdict {
    const parts = /^\$delayed\/(\d{1,12})\/(.+)$/s.exec(text)
    if (parts === null) return refuse(text, ReasonCode.topicNameInvalid)
    const seconds = Number(parts[1])
    const inner = this.publish(parts[2] as string, clientId, user)
    if (inner.reasonCode !== 0 || inner.dueMs !== undefined) return refuse(text, inner.reasonCode || ReasonCode.topicNameInvalid)
    const secondsMax = this.options.delayedSecondsMax
    if (seconds < absoluteSecondsMin) {
      if (seconds > secondsMax) return refuse(text, ReasonCode.topicNameInvalid)
      return { reasonCode: ReasonCode.success, topic: inner.topic, dueMs: (nowMs) => nowMs + seconds * 1000 }
    }
    const dueMs = (nowMs: number) => Math.min(seconds * 1000, nowMs + secondsMax * 1000)
    return { reasonCode: ReasonCode.success, topic: inner.topic, dueMs }
  }

  /** Takes a filter apart; a number is the reason why it is refused. */
  subscribe(text: string, clientId: string, user: string | undefined): SubscribeTarget | number {
    const parsed = parseFilter(text, this.limits)
    if (typeof parsed === "string") return ReasonCode.topicFilterInvalid
    const { options } = this
    if (parsed.kind === "shared" && !options.sharedSubscriptionAvailable) return ReasonCode.sharedSubscriptionsNotSupported
    if (parsed.kind === "exclusive" && !options.exclusiveEnabled) return ReasonCode.topicFilterInvalid
    const filter = rewrite(this.subscribeRules, parsed.filter, clientId, user)
    if (filter !== parsed.filter && filterError(filter, this.limits) !== undefined) return ReasonCode.topicFilterInvalid
    if (!options.wildcardSubscriptionAvailable && hasWildcard(filter)) return ReasonCode.wildcardSubscriptionsNotSupported
    return { text, filter, group: parsed.kind === "shared" ? parsed.group : undefined }
  }
}

/** `%c` becomes the client id, `%u` the user. */
export const fillIn = (template: string, clientId: string, user: string | undefined): string =>
  template.includes("%") ? template.replaceAll("%c", () => clientId).replaceAll("%u", () => user ?? "") : template

const refuse = (topic: string, reasonCode: number): TopicVerdict => ({ reasonCode, topic, dueMs: undefined })

const rewrite = (rules: ReadonlyArray<CompiledRule>, topic: string, clientId: string, user: string | undefined): string => {
  let result = topic
  for (const { rule, regex } of rules) {
    if (!matchesFilter(rule.source, topic)) continue
    const match = regex.exec(topic)
    if (match === null) continue
    const filled = fillIn(rule.dest, clientId, user)
    result = filled.replace(/\$(\d+)/g, (_text, index: string) => match[Number(index)] ?? "")
  }
  return result
}

/**
 * What the broker makes of topics and filters before routing: limits, topics that are its own, rewriting, `$delayed`.
 */
import { filterError, hasWildcard, parseFilter, topicNameError, type TopicLimits } from "@effectmq/messaging/core/TopicFilter"
import { ReasonCode } from "../codec/ReasonCode.js"
import { TopicRewrite } from "../features/core/TopicRewrite.js"
import type { MqttOptions } from "./MqttOptions.js"
import type { SubscribeTarget } from "./Session.js"

/** What a publish to a topic comes to. */
export interface TopicVerdict {
  /** 0, or the reason why it is refused. */
  readonly reasonCode: number
  /** Where it is published. */
  readonly topic: string
  /** Wall-clock ms at which a publish of `nowMs` is published, undefined where that is too far away; absent: at once. */
  readonly dueMs: ((nowMs: number) => number | undefined) | undefined
}

/** Seconds since 1970 above which a delay is a point in time. */
const absoluteSecondsMin = 1_000_000_000

export class TopicRules {
  private readonly limits: TopicLimits
  private readonly publishRewrite: TopicRewrite
  private readonly subscribeRewrite: TopicRewrite

  constructor(private readonly options: MqttOptions) {
    this.limits = { lengthMax: options.topicLengthMax, levelsMax: options.topicLevelsMax }
    this.publishRewrite = new TopicRewrite(options.rewrite, "publish")
    this.subscribeRewrite = new TopicRewrite(options.rewrite, "subscribe")
  }

  /**
   * Judges the topic of a publish, or of a will. What stands behind `$delayed/<seconds>/` is rewritten like any topic; a rule may
   * also make a topic a delayed one.
   */
  publish(topic: string, clientId: string, user: string | undefined): TopicVerdict {
    if (topicNameError(topic, this.limits) !== undefined) return refuse(topic, ReasonCode.topicNameInvalid)
    if (this.isDelayed(topic)) return this.delayed(topic, (inner) => this.publishRewrite.apply(inner, clientId, user))
    const target = this.publishRewrite.apply(topic, clientId, user)
    if (target === undefined) return refuse(topic, ReasonCode.topicNameInvalid)
    if (target !== topic && topicNameError(target, this.limits) !== undefined) return refuse(topic, ReasonCode.topicNameInvalid)
    return this.isDelayed(target) ? this.delayed(target, (inner) => inner) : this.plain(target)
  }

  private isDelayed(topic: string): boolean {
    return this.options.delayedEnabled && topic.startsWith("$delayed/")
  }

  /** Where it is published at last. */
  private plain(topic: string): TopicVerdict {
    if (topic.charCodeAt(0) === 0x24) {
      // The broker alone says what stands under $SYS.
      if (topic.startsWith("$SYS/") || topic === "$SYS") return refuse(topic, ReasonCode.notAuthorized)
      if (topic.startsWith("$share/") || topic.startsWith("$exclusive/")) return refuse(topic, ReasonCode.topicNameInvalid)
      if (this.isDelayed(topic)) return refuse(topic, ReasonCode.topicNameInvalid)
    }
    return { reasonCode: ReasonCode.success, topic, dueMs: undefined }
  }

  /** `$delayed/<seconds>/<topic>`; seconds of a billion and more are a time since 1970. */
  private delayed(text: string, rewritten: (topic: string) => string | undefined): TopicVerdict {
    const parts = /^\$delayed\/(\d{1,12})\/(.+)$/s.exec(text)
    const target = parts === null ? undefined : rewritten(parts[2] as string)
    if (parts === null || target === undefined || topicNameError(target, this.limits) !== undefined) {
      return refuse(text, ReasonCode.topicNameInvalid)
    }
    const inner = this.plain(target)
    if (inner.reasonCode !== 0) return refuse(text, inner.reasonCode)
    const seconds = Number(parts[1])
    const longestMs = this.options.delayedSecondsMax * 1000
    if (seconds >= absoluteSecondsMin) {
      const dueMs = (nowMs: number) => (seconds * 1000 - nowMs > longestMs ? undefined : seconds * 1000)
      return { reasonCode: ReasonCode.success, topic: inner.topic, dueMs }
    }
    if (seconds * 1000 > longestMs) return refuse(text, ReasonCode.topicNameInvalid)
    return { reasonCode: ReasonCode.success, topic: inner.topic, dueMs: (nowMs) => nowMs + seconds * 1000 }
  }

  /** Takes a filter apart; a number is the reason why it is refused. `told`: what CONNACK said is available. */
  subscribe(
    text: string,
    clientId: string,
    user: string | undefined,
    told: Pick<MqttOptions, "sharedSubscriptionAvailable" | "wildcardSubscriptionAvailable">
  ): SubscribeTarget | number {
    const parsed = parseFilter(text, this.limits)
    if (typeof parsed === "string") return ReasonCode.topicFilterInvalid
    if (parsed.kind === "shared" && !told.sharedSubscriptionAvailable) return ReasonCode.sharedSubscriptionsNotSupported
    if (parsed.kind === "exclusive" && !this.options.exclusiveEnabled) return ReasonCode.topicFilterInvalid
    const filter = this.subscribeRewrite.apply(parsed.filter, clientId, user)
    if (filter === undefined || (filter !== parsed.filter && filterError(filter, this.limits) !== undefined)) {
      return ReasonCode.topicFilterInvalid
    }
    if (!told.wildcardSubscriptionAvailable && hasWildcard(filter)) return ReasonCode.wildcardSubscriptionsNotSupported
    return { text, filter, group: parsed.kind === "shared" ? parsed.group : undefined }
  }
}

const refuse = (topic: string, reasonCode: number): TopicVerdict => ({ reasonCode, topic, dueMs: undefined })

/**
 * The rules of a tenant, made ready to be asked; and the few of them that concern one client.
 *
 * Rules are tried in order, the first that applies decides, and where none does the default holds.
 *
 * A publish is judged on its topic. A subscription is judged on its filter, because it also gets what is published on topics
 * that do not exist yet: an allow rule applies where its filter covers the whole subscription; a deny rule applies as soon as its
 * filter and the subscription can match one topic. So a subscription that is let in never delivers a topic which an earlier
 * rule denies. The price: a subscription that is wider than every allow rule, or that touches a denied corner, is refused
 * whole, and a client has to subscribe to the parts it may have; allow rules do not add up.
 *
 * `%c` and `%u` in a filter stand for the client id and the user name. Both are chosen by clients, so a value that would change
 * the filter's shape (`+`, `#`, `/`, a null character, or `$` at the front of the filter) is not put in: the rule then applies to
 * nothing. Neither does a rule with `%u` apply to an anonymous client.
 */
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import { type AddressBlock, blockHolds, parseAddress, parseAddressBlock } from "./Address.js"
import { coversLevels, intersectsLevels, type Levels, levelsOf, matchesLevels } from "./FilterRelation.js"

export interface AclSubject {
  /** undefined for an anonymous client. */
  readonly user: string | undefined
  readonly clientId: string
  readonly address: string
}

interface CompiledRule {
  readonly index: number
  readonly rule: AclRule
  /** undefined: any address. `nowhere`: the text is no address. */
  readonly block: AddressBlock | "nowhere" | undefined
  /** undefined where placeholders have to be replaced first. */
  readonly levels: Levels | undefined
}

/** A rule that concerns the subject, with its filter as it is for the subject. */
export interface SubjectRule {
  readonly rule: AclRule
  readonly levels: Levels
}

/** What a rule list says, with the rule that decided; without one it was the default. */
export interface Verdict {
  readonly allowed: boolean
  readonly rule: AclRule | undefined
}

const placeholder = /%[cu]/g
const shapeChanging = /[+#/\u0000]/

/** The filter with the subject's names in it; undefined where a name must not be put in. */
export const substitute = (filter: string, subject: AclSubject): string | undefined => {
  let refused = false
  const result = filter.replace(placeholder, (which, at: number) => {
    const value = which === "%c" ? subject.clientId : subject.user
    if (value === undefined || value === "" || shapeChanging.test(value) || (at === 0 && value.startsWith("$"))) refused = true
    return value ?? ""
  })
  return refused ? undefined : result
}

const noRules: ReadonlyArray<SubjectRule> = []

export class AclRules {
  private readonly forAll: Array<CompiledRule> = []
  private readonly byUser = new Map<string, Array<CompiledRule>>()
  private readonly byClientId = new Map<string, Array<CompiledRule>>()

  /**
   * @param rules in the order in which they are tried
   */
  constructor(rules: ReadonlyArray<AclRule>) {
    rules.forEach((rule, index) => {
      const { address, clientId, user } = rule.who
      const compiled: CompiledRule = {
        index,
        rule,
        block: address === undefined ? undefined : (parseAddressBlock(address) ?? "nowhere"),
        levels: rule.filter.search(placeholder) < 0 ? levelsOf(rule.filter) : undefined
      }
      // A rule stands in one list, so that ten thousand rules for as many users cost a client nothing.
      if (user !== undefined) append(this.byUser, user, compiled)
      else if (clientId !== undefined) append(this.byClientId, clientId, compiled)
      else this.forAll.push(compiled)
    })
  }

  /** The rules that concern the subject, in order. */
  of(subject: AclSubject): ReadonlyArray<SubjectRule> {
    const ofUser = subject.user === undefined ? undefined : this.byUser.get(subject.user)
    const ofClient = this.byClientId.get(subject.clientId)
    let candidates: ReadonlyArray<CompiledRule> = this.forAll
    if (ofUser !== undefined || ofClient !== undefined) {
      candidates = [...this.forAll, ...(ofUser ?? []), ...(ofClient ?? [])].sort((a, b) => a.index - b.index)
    }
    if (candidates.length === 0) return noRules
    const address = parseAddress(subject.address)
    const chosen: Array<SubjectRule> = []
    for (const { block, levels, rule } of candidates) {
      if (rule.who.clientId !== undefined && rule.who.clientId !== subject.clientId) continue
      if (block !== undefined && !blockApplies(block, address, rule)) continue
      if (levels !== undefined) chosen.push({ rule, levels })
      else {
        const filter = substitute(rule.filter, subject)
        if (filter !== undefined) chosen.push({ rule, levels: levelsOf(filter) })
      }
    }
    return chosen
  }
}

/** What cannot be compared is denied by a deny rule and not allowed by an allow rule. */
const blockApplies = (block: AddressBlock | "nowhere", address: Uint8Array | undefined, rule: AclRule): boolean =>
  block === "nowhere" || address === undefined ? rule.effect === "deny" : blockHolds(block, address)

const append = <V>(lists: Map<string, Array<V>>, key: string, value: V): void => {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

/** May the subject of these rules publish to the topic? */
export const judgePublish = (
  rules: ReadonlyArray<SubjectRule>,
  topic: string,
  retain: boolean,
  allowedByDefault: boolean
): Verdict => {
  const topicLevels = levelsOf(topic)
  for (const { levels, rule } of rules) {
    if (rule.action === "subscribe" || (rule.retain !== undefined && rule.retain !== retain)) continue
    if (matchesLevels(levels, topicLevels)) return { allowed: rule.effect === "allow", rule }
  }
  return { allowed: allowedByDefault, rule: undefined }
}

/** May the subject of these rules subscribe with the filter? A rule with `retain` is for publishes only. */
export const judgeSubscribe = (rules: ReadonlyArray<SubjectRule>, filter: string, allowedByDefault: boolean): Verdict => {
  const filterLevels = levelsOf(filter)
  for (const { levels, rule } of rules) {
    if (rule.action === "publish" || rule.retain !== undefined) continue
    if (rule.effect === "allow" ? coversLevels(levels, filterLevels) : intersectsLevels(levels, filterLevels)) {
      return { allowed: rule.effect === "allow", rule }
    }
  }
  return { allowed: allowedByDefault, rule: undefined }
}

/** `$share/<group>/<filter>` and `$exclusive/<filter>` without the prefix: rules speak of what is delivered. */
export const deliveredFilter = (filter: string): string => {
  if (filter.charCodeAt(0) !== 0x24) return filter
  if (filter.startsWith("$share/")) {
    const slash = filter.indexOf("/", 7)
    return slash < 0 ? filter : filter.slice(slash + 1)
  }
  return filter.startsWith("$exclusive/") ? filter.slice(11) : filter
}

/** `$delayed/<time>/<topic>` without the prefix: rules speak of where the message will go. */
export const publishedTopic = (topic: string): string => {
  if (topic.charCodeAt(0) !== 0x24 || !topic.startsWith("$delayed/")) return topic
  const slash = topic.indexOf("/", 9)
  return slash < 0 ? topic : topic.slice(slash + 1)
}

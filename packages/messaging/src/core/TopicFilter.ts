/**
 * Topic names and topic filters as MQTT defines them [MQTT5 4.7]; AMQP's topic exchange is translated to them.
 */

/** Limits on names and filters; the protocol's own bound is 65,535 bytes. */
export interface TopicLimits {
  readonly lengthMax: number
  readonly levelsMax: number
}

export type ParsedFilter =
  | { readonly kind: "plain"; readonly filter: string }
  | { readonly kind: "shared"; readonly filter: string; readonly group: string }
  | { readonly kind: "exclusive"; readonly filter: string }

const levelsOf = (text: string): number => {
  let levels = 1
  for (let at = text.indexOf("/"); at !== -1; at = text.indexOf("/", at + 1)) levels++
  return levels
}

/** True where a filter has a wildcard in it. */
export const hasWildcard = (filter: string): boolean => filter.indexOf("+") !== -1 || filter.indexOf("#") !== -1

/** Why the text is no topic name that a client may publish to, or undefined where it is one [MQTT-3.3.2-2], [MQTT-4.7.3-1]. */
export const topicNameError = (topic: string, limits: TopicLimits): string | undefined => {
  if (topic.length === 0) return "a topic name has at least one character"
  if (topic.length > limits.lengthMax) return `a topic name has at most ${limits.lengthMax} characters`
  if (hasWildcard(topic)) return "a topic name has no wildcard"
  if (topic.indexOf("\u0000") !== -1) return "a topic name has no null character"
  if (levelsOf(topic) > limits.levelsMax) return `a topic name has at most ${limits.levelsMax} levels`
  return undefined
}

/** Why the text is no topic filter, or undefined where it is one [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]. */
export const filterError = (filter: string, limits: TopicLimits): string | undefined => {
  if (filter.length === 0) return "a topic filter has at least one character"
  if (filter.length > limits.lengthMax) return `a topic filter has at most ${limits.lengthMax} characters`
  if (filter.indexOf("\u0000") !== -1) return "a topic filter has no null character"
  let levels = 0
  for (let start = 0; start <= filter.length; ) {
    let end = filter.indexOf("/", start)
    if (end === -1) end = filter.length
    levels++
    for (let at = start; at < end; at++) {
      const char = filter.charCodeAt(at)
      if (char === 0x2b && end - start !== 1) return "+ stands alone in its level"
      if (char === 0x23 && (end - start !== 1 || end !== filter.length)) return "# stands alone in the last level"
    }
    start = end + 1
  }
  if (levels > limits.levelsMax) return `a topic filter has at most ${limits.levelsMax} levels`
  return undefined
}

/**
 * Takes the prefixes `$share/<group>/` [MQTT5 4.8.2] and `$exclusive/` off a filter; a string is the reason why it is refused.
 */
export const parseFilter = (text: string, limits: TopicLimits): ParsedFilter | string => {
  if (text.startsWith("$share/")) {
    const slash = text.indexOf("/", 7)
    const group = slash === -1 ? "" : text.slice(7, slash)
    // A share name is at least one character, without wildcards [MQTT-4.8.2-1], and a filter follows [MQTT-4.8.2-2].
    if (group.length === 0 || hasWildcard(group)) return "a shared subscription is $share/<group>/<filter>"
    const filter = text.slice(slash + 1)
    return filterError(filter, limits) ?? { kind: "shared", filter, group }
  }
  if (text.startsWith("$exclusive/")) {
    const filter = text.slice(11)
    if (hasWildcard(filter)) return "an exclusive subscription has no wildcard"
    return filterError(filter, limits) ?? { kind: "exclusive", filter }
  }
  return filterError(text, limits) ?? { kind: "plain", filter: text }
}

/** Whether a filter matches a topic name, the slow and plain way; wildcards do not match a leading `$` [MQTT-4.7.2-1]. */
export const matchesFilter = (filter: string, topic: string): boolean => {
  const filterLevels = filter.split("/")
  const topicLevels = topic.split("/")
  if (topic.charCodeAt(0) === 0x24 && (filterLevels[0] === "+" || filterLevels[0] === "#")) return false
  for (let level = 0; level < filterLevels.length; level++) {
    if (filterLevels[level] === "#") return true
    if (level >= topicLevels.length) return false
    if (filterLevels[level] !== "+" && filterLevels[level] !== topicLevels[level]) return false
  }
  return filterLevels.length === topicLevels.length
}

/**
 * How topic filters relate: what a filter matches, whether one covers another, whether two can match the same topic.
 *
 * Filters and topics are lists of levels. `+` stands for one level, `#` for the level above and any number below, and
 * neither, at the front, for a first level that begins with `$` [MQTT-4.7.2-1]. Filters are taken to be well formed. The empty
 * topic, which nobody can publish to, counts as a topic of one empty level: relations that differ only there stay on the safe side.
 */
export type Levels = ReadonlyArray<string>

export const levelsOf = (text: string): Levels => text.split("/")

const isWildcard = (level: string): boolean => level === "+" || level === "#"

/** True where the wildcard at the front of `filter` may not stand for the first level of `other`. */
const shutOut = (filter: Levels, other: Levels): boolean =>
  isWildcard(filter[0] as string) && (other[0] as string).charCodeAt(0) === 0x24

/** Whether the filter matches the topic. */
export const matchesLevels = (filter: Levels, topic: Levels): boolean => {
  if (shutOut(filter, topic)) return false
  for (let i = 0; i < filter.length; i++) {
    const level = filter[i] as string
    if (level === "#") return true
    if (i >= topic.length) return false
    if (level !== "+" && level !== topic[i]) return false
  }
  return filter.length === topic.length
}

/** Whether `cover` matches every topic that `filter` matches. */
export const coversLevels = (cover: Levels, filter: Levels): boolean => {
  if (shutOut(cover, filter)) return false
  for (let i = 0; i < cover.length; i++) {
    const level = cover[i] as string
    if (level === "#") return true
    if (i >= filter.length) return false
    const other = filter[i] as string
    // Every topic has a first level, so that `+/#` is `#` by another name; further down `#` also matches the level above.
    if (other === "#") return i === 0 && cover.length === 2 && level === "+" && cover[1] === "#"
    if (level !== "+" && level !== other) return false
  }
  return cover.length === filter.length
}

/** Whether some topic is matched by both. */
export const intersectsLevels = (a: Levels, b: Levels): boolean => {
  if (shutOut(a, b) || shutOut(b, a)) return false
  for (let i = 0; i < a.length || i < b.length; i++) {
    const left = a[i]
    const right = b[i]
    if (left === "#" || right === "#") return true
    if (left === undefined || right === undefined) return false
    if (left !== "+" && right !== "+" && left !== right) return false
  }
  return true
}

/** `matchesLevels` of texts. */
export const matches = (filter: string, topic: string): boolean => matchesLevels(levelsOf(filter), levelsOf(topic))

/** `coversLevels` of texts. */
export const covers = (cover: string, filter: string): boolean => coversLevels(levelsOf(cover), levelsOf(filter))

/** `intersectsLevels` of texts. */
export const intersects = (a: string, b: string): boolean => intersectsLevels(levelsOf(a), levelsOf(b))

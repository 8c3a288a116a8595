/**
 * What the cluster's metadata says over what a node was started with. Pure.
 *
 * Metadata keeps text, numbers and truth values: a list is kept as its JSON. What it holds was judged by the node that took it,
 * which may have been of another version or started with other settings. So every node judges anew, and leaves aside, with a
 * word, what is no key of its own or does not fit: it never fails over it.
 */
import * as Either from "effect/Either"
import { atStartReason } from "./AtStart.js"
import { ConfigError } from "./ConfigError.js"
import type { ConfigProblem, Source } from "./ConfigError.js"
import { valueOfText } from "./Key.js"
import { keyNamed, type KeyName, mask, type Resolved, resolveOne, unknownKey } from "./Settings.js"

/** As metadata keeps it. */
export type StoredValue = string | number | boolean

export const dynamicSource: Source = { kind: "dynamic", name: "" }

/** What is wrong with values that are each right. */
export type Clashes = (resolved: Resolved) => ReadonlyArray<ConfigProblem>

export interface Overlaid {
  readonly resolved: Resolved
  /** Values of the metadata that do not hold on this node. */
  readonly ignored: ReadonlyArray<ConfigProblem>
}

export const storedOf = (value: unknown): StoredValue =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : JSON.stringify(value)

const judged = (name: string, stored: unknown): Either.Either<unknown, ConfigProblem> => {
  const definition = keyNamed(name)
  if (definition === undefined) return Either.left(unknownKey(name, dynamicSource, stored))
  const reason = atStartReason(name)
  if (reason !== undefined) {
    const expected = `nothing in the metadata: the key is read when a node starts, for ${reason}`
    const value = definition.secret ? mask : stored
    return Either.left({ key: name, source: dynamicSource, value, expected, suggestion: undefined })
  }
  const value = typeof stored === "string" ? valueOfText(definition, stored) : stored
  return resolveOne(name as KeyName, value, dynamicSource)
}

const withValues = (start: Resolved, values: ReadonlyMap<string, unknown>): Resolved => {
  const settings: Record<string, unknown> = { ...start.settings }
  const sources: Record<string, Source> = { ...start.sources }
  for (const [name, value] of values) {
    settings[name] = value
    sources[name] = dynamicSource
  }
  return { settings, sources } as unknown as Resolved
}

/**
 * The settings of a node that was started with `start` (which fit together) in a cluster whose metadata holds `stored`. Where all
 * of it does not fit, the values are taken one after the other, and those are left aside with which it would not.
 */
export const overlay = (start: Resolved, stored: Iterable<readonly [string, StoredValue]>, clashes: Clashes): Overlaid => {
  const ignored: Array<ConfigProblem> = []
  const waiting = new Map<string, unknown>()
  for (const [name, value] of stored) {
    const result = judged(name, value)
    if (Either.isLeft(result)) ignored.push(result.left)
    else waiting.set(name, result.right)
  }
  const all = withValues(start, waiting)
  if (clashes(all).length === 0) return { resolved: all, ignored }
  const taken = new Map<string, unknown>()
  // One that did not fit at first may fit beside a later one.
  for (let before = -1; before !== taken.size; ) {
    before = taken.size
    for (const [name, value] of waiting) {
      if (clashes(withValues(start, new Map([...taken, [name, value]]))).length > 0) continue
      taken.set(name, value)
      waiting.delete(name)
    }
  }
  for (const [name, value] of waiting) {
    const [first] = clashes(withValues(start, new Map([...taken, [name, value]])))
    ignored.push({ key: name, source: dynamicSource, value, expected: wordsOf(name, first), suggestion: undefined })
  }
  return { resolved: withValues(start, taken), ignored }
}

/** What the clash says is expected, where it is of another key with that key's name. */
const wordsOf = (name: string, clash: ConfigProblem | undefined): string =>
  clash === undefined ? "" : clash.key === name ? clash.expected : `a value with which ${clash.key} is ${clash.expected}`

/** The key is read at start alone. */
export interface ReadAtStart {
  readonly _tag: "ReadAtStart"
  readonly reason: string
}

/**
 * Judges a change before it is made: the value to keep, or why it cannot be. `value` undefined: the key is to be unset.
 */
export const judgeChange = (
  start: Resolved,
  stored: Iterable<readonly [string, StoredValue]>,
  clashes: Clashes,
  name: string,
  value: unknown
): Either.Either<StoredValue | undefined, ConfigError | ReadAtStart> => {
  const reason = atStartReason(name)
  if (reason !== undefined && value !== undefined) return Either.left({ _tag: "ReadAtStart", reason })
  const after = new Map(stored)
  const problemsBefore = overlay(start, after, clashes).ignored
  after.delete(name)
  let kept: StoredValue | undefined
  if (value !== undefined) {
    const result = judged(name, value)
    if (Either.isLeft(result)) return Either.left(new ConfigError({ problems: [result.left] }))
    kept = storedOf(result.right)
    after.set(name, kept)
  }
  // What was left aside already is no reason to refuse a change.
  const problems = overlay(start, after, clashes).ignored.filter(
    (problem) => problem.key === name || !problemsBefore.some(({ key }) => key === problem.key)
  )
  return problems.length > 0 ? Either.left(new ConfigError({ problems })) : Either.right(kept)
}

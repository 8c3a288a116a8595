/**
 * Options that may change while they are in use: what they are now, and who is told when they change.
 *
 * A part that takes `Live` options reads `current` at each use, or follows them where it has made something of them. It costs a
 * field to read; a change is rare and may cost more. Whoever composes parts in code gives plain options: they stay as they are.
 */

export interface Live<out A> {
  readonly current: A
  /** Called after each change; must be quick and not throw. Returns how to stop that. */
  onChange(listener: (value: A) => void): () => void
  /** What follows from it, for as long as this lives. */
  map<B>(derive: (value: A) => B): Live<B>
}

/** Options as they are given: for good, or for now. */
export type Options<A> = A | Live<A>

/** Holds the value, and changes it. */
export class LiveCell<A> implements Live<A> {
  current: A
  private readonly listeners = new Set<(value: A) => void>()

  constructor(value: A) {
    this.current = value
  }

  /** The value from now on. Where it says the same as the one before, that one stays and nobody is told. */
  set(value: A): void {
    if (sameData(value, this.current)) return
    this.current = value
    for (const listener of this.listeners) listener(value)
  }

  onChange(listener: (value: A) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  map<B>(derive: (value: A) => B): Live<B> {
    const derived = new LiveCell(derive(this.current))
    this.onChange((value) => derived.set(derive(value)))
    return derived
  }
}

export const isLive = <A>(options: Options<A>): options is Live<A> => options instanceof LiveCell

export const liveOf = <A>(options: Options<A>): Live<A> => (isLive(options) ? options : new LiveCell(options))

/** Whether two values of plain data say the same. */
export const sameData = (left: unknown, right: unknown): boolean => {
  if (Object.is(left, right)) return true
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false
  if (Array.isArray(left) !== Array.isArray(right)) return false
  const names = Object.keys(left)
  if (names.length !== Object.keys(right).length) return false
  const [a, b] = [left as Record<string, unknown>, right as Record<string, unknown>]
  return names.every((name) => Object.hasOwn(b, name) && sameData(a[name], b[name]))
}

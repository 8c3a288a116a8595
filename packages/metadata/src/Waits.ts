/**
 * What a node waits for before it can serve, in words for those who look at it meanwhile. Parts of its start say it, the first that
 * waits is told.
 */

/** In the order in which a node that starts comes past them. */
const parts = ["introduction", "membership", "registration"] as const

export class Waits {
  private readonly byPart = new Map<(typeof parts)[number], string>()

  /** undefined: it waits for nothing any more. */
  set(part: (typeof parts)[number], what: string | undefined): void {
    if (what === undefined) this.byPart.delete(part)
    else this.byPart.set(part, what)
  }

  /** As the end of a sentence that begins with "it waits for". */
  now(): string | undefined {
    for (const part of parts) {
      const what = this.byPart.get(part)
      if (what !== undefined) return what
    }
    return undefined
  }
}

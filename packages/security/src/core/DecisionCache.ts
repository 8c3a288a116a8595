/**
 * Remembers yes or no by name, up to a number of names; emptied when full, so that it costs nothing to keep in order.
 */
export class DecisionCache {
  private decisions: Map<string, boolean> | undefined

  constructor(private readonly entriesMax: number) {}

  get(name: string): boolean | undefined {
    return this.decisions?.get(name)
  }

  set(name: string, decision: boolean): void {
    if (this.decisions === undefined) this.decisions = new Map()
    else if (this.decisions.size >= this.entriesMax) this.decisions.clear()
    this.decisions.set(name, decision)
  }

  clear(): void {
    this.decisions = undefined
  }

  get size(): number {
    return this.decisions?.size ?? 0
  }
}

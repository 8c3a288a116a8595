/**
 * Which nodes the leader has heard of, and when. It begins anew with every leadership: everybody counts as heard then.
 */
export class Roll {
  private heardMsByNode = new Map<number, number>()
  private beganMs = 0
  private readonly fenced = new Set<number>()
  private term = 0

  /** This node leads in `term`. */
  begin(term: number, nowMs: number): void {
    if (this.term === term) return
    this.term = term
    this.beganMs = nowMs
    this.heardMsByNode = new Map()
    this.fenced.clear()
  }

  /** How it stands in the image: one that is seen for the first time, or was taken back, as when it registers again, counts as heard. */
  stands(nodeId: number, isFenced: boolean, nowMs: number): void {
    if (isFenced) this.fenced.add(nodeId)
    else if (this.fenced.delete(nodeId) || !this.heardMsByNode.has(nodeId)) this.heard(nodeId, nowMs)
  }

  heard(nodeId: number, nowMs: number): void {
    this.heardMsByNode.set(nodeId, nowMs)
  }

  /** Heard of in this leadership, within so many ms. */
  isThere(nodeId: number, nowMs: number, withinMs: number): boolean {
    const heardMs = this.heardMsByNode.get(nodeId)
    return heardMs !== undefined && nowMs - heardMs <= withinMs
  }

  silentMs(nodeId: number, nowMs: number): number {
    return nowMs - (this.heardMsByNode.get(nodeId) ?? this.beganMs)
  }
}

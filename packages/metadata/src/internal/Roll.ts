/**
 * Which nodes the leader has heard of, and when, and what their clocks say. It begins anew with every leadership: everybody counts as
 * heard then, and nobody's clock is known.
 */
export class Roll {
  private heardMsByNode = new Map<number, number>()
  /** By how much each node's clock is ahead of this node's uptime. */
  private clockAheadMsByNode = new Map<number, number>()
  private beganMs = 0
  private readonly fenced = new Set<number>()
  private term = 0

  /** This node leads in `term`. */
  begin(term: number, nowMs: number): void {
    if (this.term === term) return
    this.term = term
    this.beganMs = nowMs
    this.heardMsByNode = new Map()
    this.clockAheadMsByNode = new Map()
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

  /** What its clock says now. */
  clockSays(nodeId: number, clockMs: number, nowMs: number): void {
    this.clockAheadMsByNode.set(nodeId, clockMs - nowMs)
  }

  /**
   * The latest time that the clocks of more than half of these nodes have passed, so that one that is wrong does not count;
   * undefined while not as many are known.
   */
  passedMs(nodeIds: ReadonlyArray<number>, nowMs: number): number | undefined {
    const known = nodeIds.flatMap((nodeId) => this.clockAheadMsByNode.get(nodeId) ?? [])
    const aheadMs = known.sort((left, right) => right - left)[Math.floor(nodeIds.length / 2)]
    return aheadMs === undefined ? undefined : nowMs + aheadMs
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

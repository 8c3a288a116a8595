/**
 * Which offset retention by age and size moves the start of a shard to.
 */
export interface RetainedRun {
  readonly endOffset: number
  readonly sizeBytes: number
  readonly maxTimestampMs: number
}

/**
 * Goes from the oldest run on: a run goes when all of it is older than `retentionMs`, or when what follows it still has
 * `retentionBytes`. undefined where nothing goes.
 */
export const retentionCut = (
  runs: Iterable<RetainedRun>,
  sizeBytes: number,
  limits: { readonly retentionMs?: number | undefined; readonly retentionBytes?: number | undefined; readonly nowMs: number }
): number | undefined => {
  let cut: number | undefined
  let rest = sizeBytes
  for (const run of runs) {
    rest -= run.sizeBytes
    const isOld = limits.retentionMs !== undefined && run.maxTimestampMs < limits.nowMs - limits.retentionMs
    const isOver = limits.retentionBytes !== undefined && rest >= limits.retentionBytes
    if (!isOld && !isOver) break
    cut = run.endOffset
  }
  return cut
}

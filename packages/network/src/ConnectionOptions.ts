/**
 * Limits and deadlines of every connection of a listener, with their defaults.
 *
 * Invariants, asserted: 0 <= low-water < high-water <= output bound.
 */
export interface ConnectionOptions {
  /** From the accept until the protocol calls `established()`. */
  readonly connectTimeoutMs: number
  /** How long a closing connection may take to send its last bytes and to see the peer's end. */
  readonly closeTimeoutMs: number
  /** How long all connections have to end when the listener stops. */
  readonly drainTimeoutMs: number
  /** Unsent output above which a connection is `saturated`. */
  readonly highWaterMarkBytes: number
  /** Unsent output at or below which `onDrain` is called. */
  readonly lowWaterMarkBytes: number
  /**
   * Unsent output above which a connection is ended with `output-overflow`. More than the largest packet that the protocol
   * sends, else a reader of normal speed could be ended by two of them.
   */
  readonly outputBytesMax: number
}

export const defaultConnectionOptions: ConnectionOptions = {
  connectTimeoutMs: 10_000,
  closeTimeoutMs: 2_000,
  drainTimeoutMs: 5_000,
  highWaterMarkBytes: 1024 * 1024,
  lowWaterMarkBytes: 256 * 1024,
  outputBytesMax: 32 * 1024 * 1024
}

export const withConnectionDefaults = (options: Partial<ConnectionOptions>): ConnectionOptions => {
  const merged: ConnectionOptions = { ...defaultConnectionOptions }
  for (const key of Object.keys(merged) as Array<keyof ConnectionOptions>) {
    const value = options[key]
    if (value !== undefined) (merged as Record<keyof ConnectionOptions, number>)[key] = value
  }
  const { highWaterMarkBytes, lowWaterMarkBytes, outputBytesMax } = merged
  if (!(lowWaterMarkBytes >= 0 && lowWaterMarkBytes < highWaterMarkBytes && highWaterMarkBytes <= outputBytesMax))
    throw new Error(`water marks out of order: ${lowWaterMarkBytes}, ${highWaterMarkBytes}, bound ${outputBytesMax} bytes`)
  return merged
}

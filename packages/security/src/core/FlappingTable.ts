/**
 * Counts how often each client connects, to find those that come and go all the time.
 *
 * A window opens with a client's first connect and lasts `windowMs`; the connect after the last that is let be, within it, is
 * flapping. The table holds `clientsMax` clients; when it is full the one whose window opened first is forgotten.
 */
export interface FlappingLimits {
  /** Connects within the window that are still let be. */
  readonly connectsMax: number
  readonly windowMs: number
  readonly clientsMax: number
}

interface Window {
  readonly openedAtMs: number
  connects: number
}

export class FlappingTable {
  /** In the order in which the windows opened. */
  private readonly windowsByClient = new Map<string, Window>()

  /** @param limits may be replaced: a window that is open is judged by the new ones. */
  constructor(public limits: FlappingLimits) {}

  get size(): number {
    return this.windowsByClient.size
  }

  clear(): void {
    this.windowsByClient.clear()
  }

  /** Counts a connect; true where it is one too many. The count then begins anew. */
  connected(client: string, nowMs: number): boolean {
    const window = this.windowsByClient.get(client)
    if (window === undefined || nowMs - window.openedAtMs >= this.limits.windowMs || nowMs < window.openedAtMs) {
      this.windowsByClient.delete(client)
      this.makeRoom(nowMs)
      this.windowsByClient.set(client, { openedAtMs: nowMs, connects: 1 })
      return false
    }
    window.connects += 1
    if (window.connects <= this.limits.connectsMax) return false
    this.windowsByClient.delete(client)
    return true
  }

  private makeRoom(nowMs: number): void {
    for (const [client, window] of this.windowsByClient) {
      const closed = nowMs - window.openedAtMs >= this.limits.windowMs
      if (!closed && this.windowsByClient.size < this.limits.clientsMax) return
      this.windowsByClient.delete(client)
    }
  }
}

/**
 * Tells of refused connections without letting a flood of them flood the log: per reason one line in `quietMs`, which says
 * how many there were since the last.
 */
import type { ConnectionLimitsService, RefusalReason } from "../ConnectionLimits.js"

export type LogLevel = "debug" | "warning" | "error"
/** Besides the log. */
export type OnRefused = (reason: RefusalReason, address: string, detail: string) => void
export type LogLine = (level: LogLevel, message: string, annotations: Record<string, string | number>) => void

const quietMs = 10_000

/** What clients do wrong every day, or what one client can cause at will, is not worth a warning. */
const debugReasons: ReadonlySet<RefusalReason> = new Set<RefusalReason>([
  "tls-handshake",
  "client-certificate",
  "websocket-request",
  "handshake-timeout",
  "handshakes-limit",
  "shutting-down"
])

export class RefusalLog {
  private readonly quietUntilByReason = new Map<RefusalReason, number>()
  private readonly unsaidByReason = new Map<RefusalReason, number>()

  constructor(
    private readonly limits: ConnectionLimitsService,
    private readonly log: LogLine,
    private readonly listener: string,
    private readonly onRefused: OnRefused | undefined = undefined
  ) {}

  refused(reason: RefusalReason, address: string, nowMs: number, detail = ""): void {
    this.limits.refused(reason)
    this.onRefused?.(reason, address, detail)
    const count = (this.unsaidByReason.get(reason) ?? 0) + 1
    if (nowMs < (this.quietUntilByReason.get(reason) ?? 0)) {
      this.unsaidByReason.set(reason, count)
      return
    }
    this.unsaidByReason.set(reason, 0)
    this.quietUntilByReason.set(reason, nowMs + quietMs)
    const annotations = { listener: this.listener, reason, address, count, ...(detail === "" ? {} : { detail }) }
    this.log(debugReasons.has(reason) ? "debug" : "warning", "connection refused", annotations)
  }
}

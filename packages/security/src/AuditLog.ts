/**
 * Adapters of the audit port: the node's log, memory for tests, nothing.
 *
 * The log takes a bounded number of lines a second per kind, so that a client that is refused a thousand times a second does not
 * fill a disk; what was left out is counted, and said with the next line of its kind. Provide the logger beneath this Layer: it
 * writes with the one it was built with.
 */
import { Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import { Audit, type AuditEvent, type AuditKind } from "./Audit.js"
import { TokenBucket } from "./core/TokenBucket.js"

export interface AuditLogOptions {
  /** Lines a second of each kind; default 20. */
  readonly linesPerSecond?: number
  /** Lines of each kind that may come at once; default 100. */
  readonly burst?: number
}

const kinds: ReadonlyArray<AuditKind> = ["login-failed", "denied", "refused-banned", "ban-made", "admin-change"]

/** Changes by people are never left out: there is no storm of them. */
const isAlwaysWritten = (event: AuditEvent): boolean => event.kind === "admin-change"

export const layer = (options: AuditLogOptions = {}): Layer.Layer<Audit, never, Meters> =>
  Layer.effect(
    Audit,
    Effect.gen(function* () {
      const meters = yield* Meters
      const clock = yield* Effect.clock
      const runtime = yield* Effect.runtime<never>()
      const run = Runtime.runSync(runtime)
      const stateByKind = new Map(
        kinds.map((kind) => [
          kind,
          {
            bucket: new TokenBucket(options.linesPerSecond ?? 20, options.burst ?? 100),
            leftOut: 0,
            events: meters.counter("effectmq_audit_events_total", "Decisions about security, by kind.", { kind }),
            leftOutEver: meters.counter("effectmq_audit_left_out_total", "Decisions that were counted and not written.", { kind })
          }
        ])
      )
      return {
        record: (event) => {
          const state = stateByKind.get(event.kind)
          if (state === undefined) throw new Error(`audit: ${event.kind} is no kind of event`)
          state.events.value += 1
          if (!isAlwaysWritten(event) && !state.bucket.tryTake(clock.unsafeCurrentTimeMillis(), 1)) {
            state.leftOut += 1
            state.leftOutEver.value += 1
            return
          }
          const { leftOut } = state
          state.leftOut = 0
          const { kind, ...details } = event
          const line = event.kind === "admin-change" || event.kind === "ban-made" ? Effect.logInfo : Effect.logWarning
          run(
            line(`audit: ${kind}`).pipe(
              Effect.annotateLogs(leftOut === 0 ? { audit: details } : { audit: details, leftOutBefore: leftOut })
            )
          )
        }
      }
    })
  )

/** Keeps the newest `eventsMax` events in the given array, for tests. */
export const layerMemory = (events: Array<AuditEvent>, eventsMax = 1000): Layer.Layer<Audit> =>
  Layer.succeed(Audit, {
    record: (event) => {
      if (events.length >= eventsMax) events.shift()
      events.push(event)
    }
  })

/** Keeps no record. */
export const layerNone: Layer.Layer<Audit> = Layer.succeed(Audit, { record: () => {} })

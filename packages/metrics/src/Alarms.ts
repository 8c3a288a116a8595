/**
 * Conditions an operator has to know of, as long as they hold: raised once, cleared once, each time logged and told.
 *
 * An alarm is raised by whoever finds it (`raise`, `clear`), or by a rule that is looked at every few seconds. Names are a
 * bounded set, because they are a metric's label: `effectmq_alarm_active{name}`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Clock from "effect/Clock"
import { Meters } from "./Meters.js"

export interface Alarm {
  readonly name: string
  /** What is wrong now, in words and figures. */
  readonly message: string
  readonly raisedAtMs: number
  /** undefined while it holds. */
  readonly clearedAtMs: number | undefined
}

export interface AlarmRule {
  readonly name: string
  /** What is wrong, or undefined while all is well. `raised` lets a rule clear at a lower mark than it raises at. */
  check(raised: boolean): string | undefined
}

export interface AlarmsService {
  raise(name: string, message: string): Effect.Effect<void>
  clear(name: string): Effect.Effect<void>
  /** Looked at from now on, every `intervalMs`. */
  watch(rule: AlarmRule): Effect.Effect<void>
  active(): ReadonlyArray<Alarm>
  /** Those cleared, newest first, at most 1000. */
  history(): ReadonlyArray<Alarm>
  /** Told of every raise and clear; returns how to stop that. */
  onChange(listener: (alarm: Alarm) => void): () => void
}

export class Alarms extends Context.Tag("@effectmq/metrics/Alarms")<Alarms, AlarmsService>() {}

/** Different names that may be in use: far more than there are, far fewer than a metric could not bear. */
const namesMax = 100
const historyMax = 1000

export const layer = (options: { readonly intervalMs: number } = { intervalMs: 5000 }): Layer.Layer<Alarms, never, Meters> =>
  Layer.scoped(
    Alarms,
    Effect.gen(function* () {
      const meters = yield* Meters
      const activeByName = new Map<string, Alarm>()
      const names = new Set<string>()
      const cleared: Array<Alarm> = []
      const rules: Array<AlarmRule> = []
      const listeners = new Set<(alarm: Alarm) => void>()

      const know = (name: string): void => {
        if (names.has(name)) return
        if (names.size >= namesMax) throw new Error(`alarm ${name}: more than ${namesMax} names`)
        names.add(name)
        meters.gauge("effectmq_alarm_active", "1 while the alarm holds", () => (activeByName.has(name) ? 1 : 0), { name })
      }

      const raise = (name: string, message: string) =>
        Effect.gen(function* () {
          know(name)
          const before = activeByName.get(name)
          if (before !== undefined) {
            activeByName.set(name, { ...before, message })
            return
          }
          const alarm = { name, message, raisedAtMs: yield* Clock.currentTimeMillis, clearedAtMs: undefined }
          activeByName.set(name, alarm)
          for (const listener of listeners) listener(alarm)
          yield* Effect.logWarning("alarm raised").pipe(Effect.annotateLogs({ alarm: name, detail: message }))
        })

      const clear = (name: string) =>
        Effect.gen(function* () {
          const before = activeByName.get(name)
          if (before === undefined) return
          activeByName.delete(name)
          const alarm = { ...before, clearedAtMs: yield* Clock.currentTimeMillis }
          cleared.unshift(alarm)
          if (cleared.length > historyMax) cleared.pop()
          for (const listener of listeners) listener(alarm)
          yield* Effect.logInfo("alarm cleared").pipe(Effect.annotateLogs({ alarm: name }))
        })

      const look = Effect.suspend(() =>
        Effect.forEach(
          rules,
          (rule) => {
            const message = rule.check(activeByName.has(rule.name))
            return message === undefined ? clear(rule.name) : raise(rule.name, message)
          },
          { discard: true }
        )
      )
      yield* look.pipe(Effect.repeat(Schedule.spaced(options.intervalMs)), Effect.forkScoped)

      const service: AlarmsService = {
        raise,
        clear,
        watch: (rule) =>
          Effect.sync(() => {
            know(rule.name)
            rules.push(rule)
          }),
        active: () => [...activeByName.values()],
        history: () => cleared,
        onChange: (listener) => {
          listeners.add(listener)
          return () => void listeners.delete(listener)
        }
      }
      return service
    })
  )

/** Raises above `high`, clears below `low`: a figure that wavers at its limit does not flap. */
export const thresholdRule = (rule: {
  readonly name: string
  readonly read: () => number
  readonly high: number
  readonly low: number
  readonly describe: (value: number) => string
}): AlarmRule => ({
  name: rule.name,
  check: (raised) => {
    const value = rule.read()
    return value > rule.high || (raised && value >= rule.low) ? rule.describe(value) : undefined
  }
})

/**
 * The port of measurement. Hot code adds to plain numbers; exporters read them at scrape time.
 *
 * Label values come from bounded sets named in code, never from clients.
 */
import * as Context from "effect/Context"

/** Only ever goes up: `counter.value += n`. */
export interface Counter {
  value: number
}

export interface Histogram {
  /** `value` in the unit that the name ends with, for instance seconds. */
  observe(value: number): void
}

export type Labels = Readonly<Record<string, string>>

export interface MetersService {
  /** The same name and labels give the same counter. Names begin with `effectmq_` and end in `_total`. */
  counter(name: string, help: string, labels?: Labels): Counter
  /** Read at scrape time; registering the name and labels again replaces the reader. */
  gauge(name: string, help: string, read: () => number, labels?: Labels): void
  histogram(name: string, help: string, buckets: ReadonlyArray<number>, labels?: Labels): Histogram
  /** Every current value, for $SYS topics and the admin API: name with labels to number. */
  snapshot(): ReadonlyMap<string, number>
}

export class Meters extends Context.Tag("@effectmq/metrics/Meters")<Meters, MetersService>() {}

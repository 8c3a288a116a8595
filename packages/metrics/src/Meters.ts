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

export interface HistogramSummary {
  readonly count: number
  /** Of all values observed, in the histogram's unit. */
  readonly sum: number
}

export type Labels = Readonly<Record<string, string>>

export interface MetersService {
  /** The same name and labels give the same counter. Names begin with `effectmq_` and end in `_total`. */
  counter(name: string, help: string, labels?: Labels): Counter
  /** A counter that is kept elsewhere and read at scrape time; registering the name and labels again replaces the reader. */
  observableCounter(name: string, help: string, read: () => number, labels?: Labels): void
  /** Goes up and down; read at scrape time as `observableCounter` is. */
  gauge(name: string, help: string, read: () => number, labels?: Labels): void
  histogram(name: string, help: string, buckets: ReadonlyArray<number>, labels?: Labels): Histogram
  /** Every current value, for $SYS topics and the admin API: name with labels to number. */
  snapshot(): ReadonlyMap<string, number>
  /**
   * One current value, without reading the others: of a counter or gauge, by its name and labels. Undefined where nothing has been
   * registered so, and for a histogram (see `summary`).
   */
  value(name: string, labels?: Labels): number | undefined
  /** Count and sum of a histogram. Undefined where none has been registered so. */
  summary(name: string, labels?: Labels): HistogramSummary | undefined
}

export class Meters extends Context.Tag("@effectmq/metrics/Meters")<Meters, MetersService>() {}

/**
 * The values behind the port: families of series, by name and labels, as plain numbers.
 *
 * Invariants, asserted because breaking one is a bug of the caller: a name has one kind, one help text's worth of meaning,
 * one set of label names and one list of buckets; a family has at most `seriesPerNameMax` series, so that a label value that
 * comes from clients fails in the first test that tries it and not in a Prometheus server that runs out of memory.
 */
import type { Counter, Histogram, HistogramSummary, Labels, MetersService } from "../Meters.js"

export const seriesPerNameMaxDefault = 200

export interface CounterSeries {
  readonly kind: "counter"
  readonly labels: Labels
  readonly counter: Counter
}

export interface ObservableCounterSeries {
  readonly kind: "observable counter"
  readonly labels: Labels
  read: () => number
}

export interface GaugeSeries {
  readonly kind: "gauge"
  readonly labels: Labels
  read: () => number
}

export interface HistogramSeries {
  readonly kind: "histogram"
  readonly labels: Labels
  readonly histogram: BucketHistogram
}

export type Series = CounterSeries | ObservableCounterSeries | GaugeSeries | HistogramSeries

export interface Family {
  readonly name: string
  readonly help: string
  readonly kind: Series["kind"]
  readonly labelNames: ReadonlyArray<string>
  /** Upper bounds, ascending, of a histogram; else empty. */
  readonly buckets: ReadonlyArray<number>
  readonly seriesByLabels: Map<string, Series>
}

/** A histogram of plain numbers: `counts[i]` observations lie in (`bounds[i - 1]`, `bounds[i]`]; the last count is above all bounds. */
export class BucketHistogram implements Histogram {
  readonly counts: Float64Array
  sum = 0
  count = 0

  constructor(readonly bounds: ReadonlyArray<number>) {
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const bounds = this.bounds
    let low = 0
    let high = bounds.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((bounds[middle] as number) < value) low = middle + 1
      else high = middle
    }
    this.counts[low] = (this.counts[low] as number) + 1
    this.sum += value
    this.count += 1
  }
}

const assert = (condition: boolean, message: () => string): void => {
  if (!condition) throw new Error(`metrics: ${message()}`)
}

const namePattern = /^effectmq_[a-z0-9]+(_[a-z0-9]+)*$/
const labelNamePattern = /^[a-z][a-z0-9_]*$/
/** Names of labels that the exposition format writes itself. */
const reservedLabelNames: ReadonlySet<string> = new Set(["le"])

const escapeLabelValue = (value: string): string => value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")

/** `{a="1",b="2"}` with names in order, or "" without labels. */
const labelsToString = (labels: Labels): string => {
  const names = Object.keys(labels).sort()
  if (names.length === 0) return ""
  return `{${names.map((name) => `${name}="${escapeLabelValue(labels[name] as string)}"`).join(",")}}`
}

export class MeterTable implements MetersService {
  readonly familiesByName = new Map<string, Family>()

  /**
   * @param onFamily called once per new family, so that an exporter can register it
   */
  constructor(
    readonly seriesPerNameMax: number = seriesPerNameMaxDefault,
    private readonly onFamily: (family: Family) => void = () => {}
  ) {}

  counter(name: string, help: string, labels: Labels = {}): Counter {
    assert(name.endsWith("_total"), () => `the name of counter ${name} has to end in _total`)
    const family = this.family("counter", name, help, labels, [])
    const key = labelsToString(labels)
    const known = family.seriesByLabels.get(key)
    if (known !== undefined) return (known as CounterSeries).counter
    const series: CounterSeries = { kind: "counter", labels, counter: { value: 0 } }
    this.add(family, key, series)
    return series.counter
  }

  observableCounter(name: string, help: string, read: () => number, labels: Labels = {}): void {
    assert(name.endsWith("_total"), () => `the name of counter ${name} has to end in _total`)
    this.observe("observable counter", name, help, read, labels)
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    assert(!name.endsWith("_total"), () => `gauge ${name} is named like a counter`)
    this.observe("gauge", name, help, read, labels)
  }

  histogram(name: string, help: string, buckets: ReadonlyArray<number>, labels: Labels = {}): Histogram {
    const family = this.family("histogram", name, help, labels, buckets)
    const key = labelsToString(labels)
    const known = family.seriesByLabels.get(key)
    if (known !== undefined) return (known as HistogramSeries).histogram
    const series: HistogramSeries = { kind: "histogram", labels, histogram: new BucketHistogram(family.buckets) }
    this.add(family, key, series)
    return series.histogram
  }

  snapshot(): ReadonlyMap<string, number> {
    const values = new Map<string, number>()
    for (const family of this.familiesByName.values()) {
      for (const [labels, series] of family.seriesByLabels) {
        switch (series.kind) {
          case "counter":
            values.set(family.name + labels, series.counter.value)
            break
          case "observable counter":
          case "gauge":
            values.set(family.name + labels, readNow(series))
            break
          case "histogram":
            values.set(`${family.name}_count${labels}`, series.histogram.count)
            values.set(`${family.name}_sum${labels}`, series.histogram.sum)
        }
      }
    }
    return values
  }

  value(name: string, labels: Labels = {}): number | undefined {
    const series = this.series(name, labels)
    if (series === undefined || series.kind === "histogram") return undefined
    return series.kind === "counter" ? series.counter.value : readNow(series)
  }

  summary(name: string, labels: Labels = {}): HistogramSummary | undefined {
    const series = this.series(name, labels)
    return series?.kind === "histogram" ? { count: series.histogram.count, sum: series.histogram.sum } : undefined
  }

  private observe(kind: "observable counter" | "gauge", name: string, help: string, read: () => number, labels: Labels): void {
    const family = this.family(kind, name, help, labels, [])
    const key = labelsToString(labels)
    const known = family.seriesByLabels.get(key)
    if (known === undefined) this.add(family, key, { kind, labels, read })
    else (known as GaugeSeries | ObservableCounterSeries).read = read
  }

  private series(name: string, labels: Labels): Series | undefined {
    return this.familiesByName.get(name)?.seriesByLabels.get(labelsToString(labels))
  }

  private family(kind: Series["kind"], name: string, help: string, labels: Labels, buckets: ReadonlyArray<number>): Family {
    const labelNames = Object.keys(labels).sort()
    const known = this.familiesByName.get(name)
    if (known !== undefined) {
      assert(known.kind === kind, () => `${name} is a ${known.kind}, not a ${kind}`)
      assert(sameItems(known.labelNames, labelNames), () => `${name} has the labels ${known.labelNames}, not ${labelNames}`)
      assert(sameItems(known.buckets, buckets), () => `${name} has other buckets`)
      return known
    }
    assert(namePattern.test(name), () => `${name} is no metric name: effectmq_, then lower-case words joined by _`)
    assert(help.length > 0, () => `${name} needs a help text`)
    for (const label of labelNames) {
      assert(labelNamePattern.test(label) && !reservedLabelNames.has(label), () => `${label} of ${name} is no label name`)
    }
    if (kind === "histogram") {
      assert(buckets.length > 0, () => `histogram ${name} needs buckets`)
      for (let i = 1; i < buckets.length; i++) {
        assert((buckets[i - 1] as number) < (buckets[i] as number), () => `the buckets of ${name} do not ascend`)
      }
    }
    const family: Family = { name, help, kind, labelNames, buckets: [...buckets], seriesByLabels: new Map() }
    this.familiesByName.set(name, family)
    this.onFamily(family)
    return family
  }

  private add(family: Family, key: string, series: Series): void {
    assert(
      family.seriesByLabels.size < this.seriesPerNameMax,
      () => `${family.name} would have more than ${this.seriesPerNameMax} series: ${key}`
    )
    family.seriesByLabels.set(key, series)
  }
}

/** The current value; NaN where the reader throws, so that one broken reader does not hide every other value. */
export const readNow = (series: GaugeSeries | ObservableCounterSeries): number => {
  try {
    return series.read()
  } catch {
    return Number.NaN
  }
}

const sameItems = (a: ReadonlyArray<string | number>, b: ReadonlyArray<string | number>): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i])

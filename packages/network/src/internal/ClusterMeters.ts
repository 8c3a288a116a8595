/**
 * The meters of connections between nodes: the same as those of clients, under names of their own (`effectmq_cluster_...`), so that
 * neither is counted among the other.
 */
import type { MetersService } from "@effectmq/metrics/Meters"

const named = (name: string): string => name.replace(/^effectmq_/, "effectmq_cluster_")

export const clusterMeters = (meters: MetersService): MetersService => ({
  counter: (name, help, labels) => meters.counter(named(name), `Between nodes: ${help}`, labels),
  observableCounter: (name, help, read, labels) => meters.observableCounter(named(name), `Between nodes: ${help}`, read, labels),
  gauge: (name, help, read, labels) => meters.gauge(named(name), `Between nodes: ${help}`, read, labels),
  histogram: (name, help, buckets, labels) => meters.histogram(named(name), `Between nodes: ${help}`, buckets, labels),
  snapshot: () => meters.snapshot(),
  value: (name, labels) => meters.value(named(name), labels),
  summary: (name, labels) => meters.summary(named(name), labels)
})

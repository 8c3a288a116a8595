/**
 * What the broker promised and what it delivered; knows what is wrong.
 *
 * A message is named by its payload, `<publisher>:<number>`; numbers of a publisher rise in the order of publishing.
 */
import type { Delivery } from "../support/SessionClient.js"

export interface Promised {
  readonly topic: string
  readonly payload: string
  readonly qos: 1 | 2
}

const few = (list: ReadonlyArray<string>) => `${list.length} in all: ${list.slice(0, 5).join(", ")}`

const countsOf = (deliveries: ReadonlyArray<Delivery>) => {
  const counts = new Map<string, number>()
  for (const { payload } of deliveries) counts.set(payload, (counts.get(payload) ?? 0) + 1)
  return counts
}

/** Payloads whose number is lower than one of the same publisher and topic that came before. First arrivals count. */
const outOfOrder = (deliveries: ReadonlyArray<Delivery>): Array<string> => {
  const newest = new Map<string, number>()
  const seen = new Set<string>()
  return deliveries.flatMap(({ topic, payload, qos }) => {
    if (seen.has(payload)) return []
    seen.add(payload)
    const [publisher, number] = payload.split(":")
    const line = `${publisher} ${topic} ${qos}`
    const late = Number(number) < (newest.get(line) ?? -1)
    newest.set(line, Math.max(Number(number), newest.get(line) ?? -1))
    return late ? [`${payload} on ${topic}`] : []
  })
}

export class Ledger {
  /** Acknowledged messages, by payload. */
  readonly acknowledged = new Map<string, Promised>()

  record(message: Promised): void {
    this.acknowledged.set(message.payload, message)
  }

  /** What is wrong with all that a persistent subscriber of everything received at `qos`. */
  faults(name: string, deliveries: ReadonlyArray<Delivery>, qos: 1 | 2): Array<string> {
    const counts = countsOf(deliveries)
    const lost = [...this.acknowledged.keys()].filter((payload) => !counts.has(payload))
    const twice = [...counts]
      .filter(([payload, count]) => count > 1 && qos === 2 && this.acknowledged.get(payload)?.qos === 2)
      .map(([payload, count]) => `${payload} ${count} times`)
    const late = outOfOrder(deliveries)
    return [
      ...(lost.length > 0 ? [`${name}: acknowledged and lost, ${few(lost)}`] : []),
      ...(twice.length > 0 ? [`${name}: QoS 2 more than once, ${few(twice)}`] : []),
      ...(late.length > 0 ? [`${name}: out of order, ${few(late)}`] : [])
    ]
  }

  /** What no member of a shared subscription received. */
  faultsOfGroup(name: string, members: ReadonlyArray<ReadonlyArray<Delivery>>): Array<string> {
    const counts = countsOf(members.flat())
    const lost = [...this.acknowledged.keys()].filter((payload) => !counts.has(payload))
    return lost.length > 0 ? [`${name}: acknowledged and lost, ${few(lost)}`] : []
  }

  /** True once a subscriber has everything. */
  isServed(deliveries: ReadonlyArray<Delivery>): boolean {
    if (deliveries.length < this.acknowledged.size) return false
    const counts = countsOf(deliveries)
    for (const payload of this.acknowledged.keys()) if (!counts.has(payload)) return false
    return true
  }
}

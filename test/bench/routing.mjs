/**
 * Routing alone, in this process: how long the table takes to say who gets a publish.
 *
 * A million subscriptions `site/<a>/device/<b>/+` of 10,000 subscribers; 10,000 topics that match one each. Prints one line of
 * JSON: microseconds with the table's cache of routes, and without it (every subscription change empties it).
 */
import { RouteTable } from "@effectmq/messaging/core/RouteTable"

const table = new RouteTable(4)
const subscribers = Array.from({ length: 10_000 }, (_, i) => ({
  clientId: `client-${i}`,
  durable: false,
  online: true,
  capacity: 1,
  deliver: () => {},
  deliverLogged: () => {}
}))
const since = []
for (let a = 0; a < 1000; a++) {
  for (let b = 0; b < 1000; b++) {
    const filter = `site/${a}/device/${b}/+`
    const subscription = { filter, qos: 0, noLocal: false, retainAsPublished: false, subscriptionId: undefined, since }
    table.subscribe(subscribers[(a * 1000 + b) % subscribers.length], subscription)
  }
}

// A fixed sequence that looks random, so that runs can be compared.
let state = 1
const next = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const topics = Array.from({ length: 10_000 }, () => `site/${next(1000)}/device/${next(1000)}/temperature`)
const order = Uint16Array.from({ length: 1_000_000 }, () => next(topics.length))

let matches = 0
const timed = (count, action) => {
  const from = performance.now()
  action()
  return ((performance.now() - from) * 1000) / count
}
const cached = () => {
  for (let i = 0; i < order.length; i++) matches += table.route(topics[order[i]]).direct.length
}
const uncached = () => {
  table.invalidate()
  for (const topic of topics) matches += table.route(topic).direct.length
}
cached()
uncached()
const withCache = timed(order.length, cached)
const rounds = 20
const withoutCache = timed(rounds * topics.length, () => {
  for (let i = 0; i < rounds; i++) uncached()
})
if (matches !== 2 * order.length + (rounds + 1) * topics.length) throw new Error(`${matches} matches: not one each`)
process.stdout.write(`${JSON.stringify({ value: withCache, uncached: withoutCache })}\n`)

/**
 * The load generator, a process of its own: `node load.mjs <case as JSON>`; prints its result as one line of JSON.
 */
import { RawClient } from "./RawClient.mjs"
import { fill } from "./fill.mjs"
import { idle } from "./idle.mjs"
import { latency } from "./latency.mjs"
import { throughput } from "./throughput.mjs"

const options = JSON.parse(process.argv[2])
const kinds = { throughput, latency, idle, fill }

/** Opens many clients, some at a time. */
const openAll = async (count, open, atOnce = 100) => {
  const clients = []
  for (let from = 0; from < count; from += atOnce) {
    const some = Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => open(from + i))
    clients.push(...(await Promise.all(some)))
  }
  return clients
}

const result = await kinds[options.kind](options, {
  openAll,
  open: (clientId, more) => RawClient.open(options.port, clientId, more)
})
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))

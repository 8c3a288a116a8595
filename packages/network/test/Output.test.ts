/** Whatever is written, by whichever call, at whatever moment: every reader gets its own bytes, once and in order. */
import { expect, it } from "@effect/vitest"
import { MeterTable } from "@effectmq/metrics/core/MeterTable"
import { type MemoryClient, MemoryNetworkService } from "@effectmq/network/MemoryNetwork"
import fc from "fast-check"
import { makePeers } from "./support/Peer.js"

const limits = {
  acquire: () => true,
  release: () => {},
  acquireAddress: () => true,
  releaseAddress: () => {},
  refused: () => {},
  connections: () => 0
}

const readers = 3

const size = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 4_000, max: 4_200 }),
  fc.integer({ min: 30_000, max: 34_000 }),
  fc.integer({ min: 65_400, max: 65_600 }),
  fc.integer({ min: 65_600, max: 200_000 })
)
const reader = fc.integer({ min: 0, max: readers - 1 })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("write", "writeShared", "reserve"), reader, size }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("flush", "pause", "resume"), reader, size: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("settle"), reader, size: fc.constant(0) }) }
)

const turnBytes = fc.constantFrom(undefined, 1, 100_000)

const connectReaders = (windowBytes: number, largeBytesPerTurn?: number) => {
  const turns = largeBytesPerTurn === undefined ? {} : { largeBytesPerTurn }
  const network = new MemoryNetworkService(new MeterTable(), limits, { automatic: false, ...turns })
  const { acceptor, peers } = makePeers()
  const port = network.bind({ kind: "tcp", host: "memory", port: 0, outputBytesMax: 1e9 }, acceptor)
  const clients: Array<MemoryClient> = []
  for (let i = 0; i < readers; i++) clients.push(network.connect(port, { windowBytes }))
  network.settle()
  const expected = clients.map(() => [] as Array<Buffer>)
  const check = () => {
    for (const client of clients) client.resume()
    network.settle()
    clients.forEach((client, i) => {
      const wanted = Buffer.concat(expected[i]!)
      expect(client.received().equals(wanted)).toBe(true)
      expect(peers[i]!.connection.bufferedBytes()).toBe(0)
      expect(peers[i]!.connection.saturated).toBe(false)
      peers[i]!.connection.close("closed-by-broker")
    })
    network.settle()
    expect(peers.every((peer) => peer.closes === 1)).toBe(true)
  }
  return { network, peers, clients, expected, check }
}

it("is what the readers get", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1_000, max: 150_000 }),
      turnBytes,
      (steps, windowBytes, bytes) => {
        const { network, peers, clients, expected, check } = connectReaders(windowBytes, bytes)
        let fill = 0
        for (const { do: action, reader, size } of steps) {
          const connection = peers[reader]!.connection
          const client = clients[reader]!
          if (action === "flush") connection.flush()
          else if (action === "pause") client.pause()
          else if (action === "resume") client.resume()
          else if (action === "settle") network.settle()
          else {
            const bytes = Buffer.alloc(size, ++fill & 0xff)
            expected[reader]!.push(bytes)
            if (action === "write") connection.write(bytes)
            else if (action === "writeShared") connection.writeShared(bytes)
            else {
              connection.reserve(size)
              bytes.copy(connection.buffer, connection.length)
              connection.length += size
            }
          }
        }
        check()
      }
    ),
    { numRuns: 300 }
  )
})

const sourceBytes = 40_000
const sources = [1, 7].map((factor) => Buffer.from(Array.from({ length: sourceBytes }, (_, i) => (i * factor) % 251)))
const action = fc.constantFrom("range", "range", "range", "range", "other", "flush", "settle", "pause", "resume")
/** Most ranges follow the one before them in their source; now and then some bytes go to nobody, or it begins again. */
const rangeStep = fc.record({
  action,
  reader,
  source: fc.constantFrom(0, 0, 0, 1),
  skip: fc.constantFrom(0, 0, 0, 4, 90, Number.POSITIVE_INFINITY),
  size: fc.oneof(fc.constant(90), fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 20_000, max: 40_000 }))
})

it("holds for ranges that follow one another, also where they are changed afterwards", () => {
  fc.assert(
    fc.property(
      fc.array(rangeStep, { maxLength: 200, size: "max" }),
      fc.integer({ min: 1_000, max: 90_000 }),
      (steps, windowBytes) => {
        const { network, peers, clients, expected, check } = connectReaders(windowBytes)
        const positions = sources.map(() => 0)
        let stamp = 0
        for (const { action, reader, source: chosen, skip, size } of steps) {
          const { connection } = peers[reader]!
          if (action === "range") {
            const source = sources[chosen]!
            const start = positions[chosen]! + skip + size > sourceBytes ? 0 : positions[chosen]! + skip
            positions[chosen] = start + size
            const at = connection.writeRange(source, start, start + size)
            connection.buffer[at] = ++stamp & 0xff
            const wanted = Buffer.from(source.subarray(start, start + size))
            wanted[0] = stamp & 0xff
            expected[reader]!.push(wanted)
          } else if (action === "other") {
            const bytes = Buffer.alloc(skip === 0 ? size : 4, 0xff)
            connection.write(bytes)
            expected[reader]!.push(bytes)
          } else if (action === "flush") connection.flush()
          else if (action === "settle") network.settle()
          else clients[reader]![action]()
        }
        check()
      }
    ),
    { numRuns: 300 }
  )
})

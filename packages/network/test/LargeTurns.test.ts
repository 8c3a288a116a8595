/** Large messages to many readers share the process with everything else. */
import { expect, it } from "@effect/vitest"
import { MeterTable } from "@effectmq/metrics/core/MeterTable"
import { MemoryNetworkService } from "@effectmq/network/MemoryNetwork"
import { LargeTurns } from "../src/internal/LargeTurns.js"
import { makePeers } from "./support/Peer.js"

class Writer {
  readonly paused: Array<number> = []
  written = 0

  constructor(private readonly bytes: number) {}

  writeLarge(): number {
    this.written++
    return this.bytes
  }
  pause(reason: number): void {
    this.paused.push(reason)
  }
  resume(reason: number): void {
    this.paused.splice(this.paused.indexOf(reason), 1)
  }
}

it("gives each turn so many bytes, in order, and lets those go on last who made others wait", () => {
  const scheduled: Array<() => void> = []
  const turn = () => {
    for (const run of scheduled.splice(0)) run()
  }
  const turns = new LargeTurns((run) => scheduled.push(run), 1000)
  expect([600, 600].map((bytes) => turns.allows(bytes))).toEqual([true, false])
  const writers = Array.from({ length: 5 }, () => new Writer(600))
  for (const writer of writers) turns.defer(writer)
  const publisher = new Writer(0)
  turns.holdBack(publisher)
  const state = () => writers.map(({ written }) => written).join("")
  turn()
  expect(state()).toBe("11000")
  // Nobody overtakes those who wait.
  expect(turns.allows(1)).toBe(false)
  expect(publisher.paused.length).toBe(1)
  turn()
  expect(state()).toBe("11110")
  turn()
  expect(state()).toBe("11111")
  expect(publisher.paused).toEqual([])
  expect(scheduled).toEqual([])
  // One larger than a turn has one of its own.
  expect([5000, 1].map((bytes) => turns.allows(bytes))).toEqual([true, false])
  turn()
  expect(turns.allows(1)).toBe(true)
})

it("holds up nobody: small output of others leaves between two turns, and a reader that goes away is passed over", () => {
  const limits = {
    acquire: () => true,
    release: () => {},
    acquireAddress: () => true,
    releaseAddress: () => {},
    refused: () => {},
    connections: () => 0
  }
  const network = new MemoryNetworkService(new MeterTable(), limits, { automatic: false, largeBytesPerTurn: 100_000 })
  const { acceptor, peers } = makePeers()
  const port = network.bind({ kind: "tcp", host: "memory", port: 0 }, acceptor)
  const clients = Array.from({ length: 6 }, () => network.connect(port, { windowBytes: 1_000_000 }))
  network.settle()
  const large = Buffer.alloc(100_000, 7)
  const small = Buffer.from("small")
  const connections = peers.map(({ connection }) => connection)
  for (const connection of connections.slice(0, 5)) {
    connection.write(small)
    connection.writeShared(large)
    connection.write(small)
  }
  expect(connections.slice(0, 5).map((connection) => connection.bufferedBytes() > large.length)).toEqual([
    false,
    true,
    true,
    true,
    true
  ])
  connections[2]?.close("closed-by-broker")
  connections[3]?.destroy("closed-by-broker")
  connections[5]?.write(small)
  network.settle()
  const whole = Buffer.concat([small, large, small])
  expect(clients.map((client) => client.received().length)).toEqual(
    [whole, whole, whole, "", whole, small].map(({ length }) => length)
  )
  for (const client of [0, 1, 2, 4]) expect(clients[client]?.received().equals(whole)).toBe(true)
  expect(connections.map((connection) => connection.bufferedBytes())).toEqual([0, 0, 0, 0, 0, 0])
})

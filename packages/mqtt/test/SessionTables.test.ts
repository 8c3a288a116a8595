/** The small tables and queues of a session, against the plain thing each stands for. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AckQueue } from "../src/core/AckQueue.js"
import { Fifo } from "../src/core/Fifo.js"
import { InboundQos2 } from "../src/core/InboundQos2.js"
import { PacketTable } from "../src/core/PacketTable.js"
import { type Timed, TimerHeap } from "../src/core/TimerHeap.js"
import { InboundAliases, OutboundAliases } from "../src/core/TopicAliases.js"

describe("PacketTable", () => {
  it("is a map whose identifiers are never in use twice", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant("add"), fc.nat())), (commands) => {
        const table = new PacketTable<{ packetId: number }>()
        const model = new Map<number, object>()
        for (const command of commands) {
          const ids = [...model.keys()]
          if (typeof command === "number" && ids.length > 0) {
            const packetId = ids[command % ids.length] as number
            expect(table.delete(packetId)).toBe(model.delete(packetId))
            expect(table.get(packetId)).toBeUndefined()
          } else {
            const value = { packetId: 0 }
            const packetId = table.allocate(value)
            expect(packetId).toBeGreaterThanOrEqual(1)
            expect(packetId).toBeLessThanOrEqual(65_535)
            expect(model.has(packetId)).toBe(false)
            model.set(packetId, value)
          }
          expect(table.size).toBe(model.size)
        }
        for (const [packetId, value] of model) expect(table.get(packetId)).toBe(value)
        expect(new Set(table.values())).toEqual(new Set(model.values()))
      })
    )
  })

  it("goes round at 65,535, holds them all, and takes restored ones", () => {
    const table = new PacketTable<{ packetId: number }>()
    table.restore({ packetId: 65_535 })
    expect(table.allocate({ packetId: 0 })).toBe(1)
    table.restore({ packetId: 32_769 })
    expect(() => table.restore({ packetId: 1 })).toThrow()
    while (table.size < 65_535) table.allocate({ packetId: 0 })
    expect(() => table.allocate({ packetId: 0 })).toThrow()
    expect(table.get(12_345)?.packetId).toBe(12_345)
  })
})

describe("Fifo", () => {
  it("is an array", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant("shift" as const), fc.record({ push: fc.nat() }), fc.record({ unshift: fc.nat() }))),
        (commands) => {
          const fifo = new Fifo<number>()
          const model: Array<number> = []
          for (const command of commands) {
            if (command === "shift") expect(fifo.shift()).toBe(model.shift())
            else if ("push" in command) {
              fifo.push(command.push)
              model.push(command.push)
            } else {
              fifo.unshift(command.unshift)
              model.unshift(command.unshift)
            }
            expect(fifo.size).toBe(model.length)
            expect(fifo.peek()).toBe(model[0])
          }
          expect([...fifo.values()]).toEqual(model)
        }
      )
    )
  })
})

describe("TimerHeap", () => {
  it("calls what is due, earliest first, each once", () => {
    class Entry implements Timed {
      deadlineMs = 0
      heapIndex = -1
      constructor(
        readonly name: number,
        readonly called: Array<number>
      ) {}
      onDeadline(): void {
        this.called.push(this.name)
      }
    }
    const command = fc.oneof(
      fc.record({ set: fc.nat(9), at: fc.nat(50) }),
      fc.record({ clear: fc.nat(9) }),
      fc.record({ by: fc.nat(20) })
    )
    fc.assert(
      fc.property(fc.array(command), (commands) => {
        const heap = new TimerHeap()
        const called: Array<number> = []
        const entries = Array.from({ length: 10 }, (_, name) => new Entry(name, called))
        const model = new Map<number, number>()
        let nowMs = 0
        for (const one of commands) {
          if ("set" in one) {
            heap.set(entries[one.set] as Entry, nowMs + one.at)
            model.set(one.set, nowMs + one.at)
          } else if ("clear" in one) {
            heap.clear(entries[one.clear] as Entry)
            model.delete(one.clear)
          } else {
            nowMs += one.by
            called.length = 0
            heap.advance(nowMs)
            const due = [...model].filter(([, at]) => at <= nowMs)
            expect([...called].sort()).toEqual(due.map(([name]) => name).sort())
            const times = called.map((name) => model.get(name) as number)
            expect(times).toEqual([...times].sort((a, b) => a - b))
            for (const [name] of due) model.delete(name)
          }
          expect(heap.size).toBe(model.size)
          expect(heap.nextMs).toBe(Math.min(Number.POSITIVE_INFINITY, ...model.values()))
        }
      })
    )
  })
})

describe("AckQueue", () => {
  it("lets acknowledgements go in the order of their publishes, whatever finishes first", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat())), (commands) => {
        const queue = new AckQueue()
        const begun: Array<string> = []
        const sent: Array<string> = []
        const open: Array<number> = []
        const sender = {
          sendPuback: (packetId: number, reasonCode: number) => void sent.push(`puback ${packetId} ${reasonCode}`),
          sendPubrec: (packetId: number, reasonCode: number) => void sent.push(`pubrec ${packetId} ${reasonCode}`)
        }
        for (const [begin, number] of commands) {
          if (begin || open.length === 0) {
            const packetId = (begun.length % 65_535) + 1
            const kind = number % 2 === 0 ? "puback" : "pubrec"
            open.push(queue.begin(packetId, kind))
            begun.push(`${kind} ${packetId} ${packetId % 256}`)
          } else {
            const [token] = open.splice(number % open.length, 1) as [number]
            queue.finish(token, queue.packetId(token) % 256, sender)
          }
          expect(sent).toEqual(begun.slice(0, sent.length))
          expect(queue.size).toBe(begun.length - sent.length)
        }
        for (const token of open) queue.finish(token, queue.packetId(token) % 256, sender)
        expect(sent).toEqual(begun)
        expect(queue.pubacks).toBe(0)
      })
    )
  })
})

describe("InboundQos2", () => {
  it("knows after a restart what the log and the last progress know", () => {
    const before = new InboundQos2()
    before.begin(1).received = true
    before.begin(2)
    const progress = { nextUse: before.nextUse, uses: [...before.values()].map((use) => ({ ...use })) }
    before.begin(3).received = true
    const after = new InboundQos2()
    after.restore(progress.nextUse, progress.uses)
    // In another order than they were used: they stand in different sources.
    after.fold(3, 3)
    after.fold(9, 0)
    after.settle()
    expect([...after.values()].map(({ packetId }) => packetId).sort()).toEqual([1, 3])
    expect(after.nextUse).toBe(4)
  })
})

describe("topic aliases", () => {
  it("from a client stand for what it last set", () => {
    const aliases = new InboundAliases(2)
    expect(aliases.resolve(1, "")).toBeUndefined()
    expect(aliases.resolve(1, "a")).toBe("a")
    expect(aliases.resolve(1, "")).toBe("a")
    expect(aliases.resolve(1, "b")).toBe("b")
    expect(aliases.resolve(3, "c")).toBeUndefined()
  })

  it("to a client go to the first topics", () => {
    const aliases = new OutboundAliases(1)
    expect([aliases.aliasOf("a"), aliases.known]).toEqual([1, false])
    aliases.forget("a")
    expect([aliases.aliasOf("b"), aliases.known]).toEqual([1, false])
    expect([aliases.aliasOf("b"), aliases.known]).toEqual([1, true])
    expect(aliases.aliasOf("c")).toBe(0)
  })
})

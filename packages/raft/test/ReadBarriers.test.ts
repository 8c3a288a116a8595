/**
 * Reads that wait on a member: when each of them is answered, and that none is twice.
 */
import { beforeEach, describe, expect, it } from "vitest"
import { ReadBarriers } from "../src/internal/ReadBarriers.js"
import { RaftUnavailable } from "../src/RaftUnavailable.js"

const late = () => new RaftUnavailable({ reason: "timeout", message: "late" })

describe("reads", () => {
  let reads: ReadBarriers
  let told: Array<string>
  const add = (name: string) =>
    reads.add(
      (index) => told.push(`${name} ${index}`),
      ({ reason }) => told.push(`${name} ${reason}`)
    )
  const tick = (count = 1) => {
    for (let at = 0; at < count; at++) reads.tick(late)
  }

  beforeEach(() => {
    told = []
    reads = new ReadBarriers(4, 10, 3, 100)
  })

  it("of one turn share a request, those that come later get another one", () => {
    add("a")
    add("b")
    expect(reads.ask()).toBe(100)
    expect(reads.ask()).toBeUndefined()
    add("c")
    expect(reads.ask()).toBe(101)
    reads.answered({ requestId: 100, index: 5 }, 7)
    expect(told).toEqual(["a 7", "b 7"])
    reads.answered({ requestId: 100, index: 5 }, 8)
    reads.answered({ requestId: 99, index: 5 }, 8)
    expect(told).toHaveLength(2)
    expect(reads.waiting).toBe(1)
  })

  it("wait until what was confirmed is applied here, in whatever order that comes", () => {
    for (const name of ["a", "b", "c"]) {
      add(name)
      reads.ask()
    }
    reads.answered({ requestId: 101, index: 20 }, 9)
    reads.answered({ requestId: 100, index: 10 }, 9)
    reads.answered({ requestId: 102, index: 15 }, 9)
    expect(told).toEqual([])
    reads.applied(9)
    expect(told).toEqual([])
    reads.applied(10)
    expect(told).toEqual(["a 10"])
    reads.applied(19)
    expect(told).toEqual(["a 10", "c 19"])
    reads.applied(20)
    expect(told).toEqual(["a 10", "c 19", "b 20"])
  })

  it("are asked for again where the leader could not say, did not answer, or is another one", () => {
    add("a")
    reads.ask()
    reads.answered({ requestId: 100, index: -1 }, 9)
    expect(reads.ask()).toBeUndefined()
    tick()
    expect(reads.ask()).toBe(101)
    tick(2)
    expect(reads.ask()).toBeUndefined()
    tick()
    expect(reads.ask()).toBe(102)
    reads.leaderChanged()
    expect(reads.ask()).toBe(103)
    // Answers to what was asked before came too late to count.
    for (const requestId of [100, 101, 102]) reads.answered({ requestId, index: 1 }, 9)
    expect(told).toEqual([])
    reads.answered({ requestId: 103, index: 1 }, 9)
    expect(told).toEqual(["a 9"])
  })

  it("end when their time is over, wherever they wait", () => {
    add("confirmed")
    reads.ask()
    reads.answered({ requestId: 100, index: 50 }, 9)
    add("asked")
    reads.ask()
    add("fresh")
    tick(9)
    expect(told).toEqual([])
    tick()
    expect(told.sort()).toEqual(["asked timeout", "confirmed timeout", "fresh timeout"])
    expect(reads.waiting).toBe(0)
    reads.applied(50)
    expect(told).toHaveLength(3)
  })

  it("are as many as may wait; one that is given up makes room and is not answered", () => {
    const giveUps = ["a", "b", "c", "d"].map(add)
    add("e")
    expect(told).toEqual(["e overloaded"])
    giveUps[0]?.()
    giveUps[0]?.()
    expect(reads.waiting).toBe(3)
    add("f")
    add("g")
    expect(told).toEqual(["e overloaded", "g overloaded"])
    reads.answered({ requestId: reads.ask() ?? 0, index: 1 }, 1)
    expect(told.slice(2)).toEqual(["b 1", "c 1", "d 1", "f 1"])
  })

  it("all fail together, each once", () => {
    for (const name of ["confirmed", "later", "asked"]) {
      add(name)
      reads.ask()
    }
    add("fresh")
    reads.answered({ requestId: 100, index: 50 }, 9)
    reads.answered({ requestId: 101, index: -1 }, 9)
    reads.failAll(late())
    expect(told.sort()).toEqual(["asked timeout", "confirmed timeout", "fresh timeout", "later timeout"])
    reads.failAll(late())
    reads.applied(60)
    tick(20)
    expect(told).toHaveLength(4)
    expect(reads.waiting).toBe(0)
  })
})

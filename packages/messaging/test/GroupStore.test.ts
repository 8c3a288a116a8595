/**
 * What durable shared groups write down, and what a restart finds of it.
 */
import { readFileSync } from "node:fs"
import {
  decodeHandOuts,
  decodeSnapshot,
  encodeHandOuts,
  encodeSnapshot,
  type GroupPlace,
  handOutsKey,
  readGroupKey,
  snapshotKey
} from "@effectmq/messaging/core/GroupRecords"
import { GroupStore } from "@effectmq/messaging/GroupStore"
import { MessageLog } from "@effectmq/messaging/MessageLog"
import { SharedGroup } from "@effectmq/messaging/SharedGroup"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ManualShard } from "@effectmq/testing/ManualShard"
import { ManualTime } from "@effectmq/testing/ManualTime"

const golden = (name: string): Buffer => readFileSync(new URL(`../../../schemas/golden/group-${name}.bin`, import.meta.url))

const ada = { clientId: "ada", incarnation: 1_700_000_000_123, handOut: 7 }
const snapshot = {
  positions: [5, 0, 123_456_789_012],
  places: [
    { source: 0, offset: 3, holder: ada },
    { source: 0, offset: 4, holder: { ...ada, handOut: 8 } },
    { source: 2, offset: 9_007_199_254_740_991, holder: { clientId: "bob", incarnation: 1, handOut: 1 } },
    { source: 1, offset: 0, holder: undefined }
  ]
}

describe("group records", () => {
  it("have these bytes, for ever", () => {
    expect(encodeSnapshot(42, snapshot)).toEqual(golden("snapshot-2"))
    expect(encodeHandOuts(42, snapshot.places)).toEqual(golden("hand-outs-2"))
  })

  it("are read back from these bytes", () => {
    expect(decodeSnapshot(golden("snapshot-2"))).toEqual({ generation: 42, ...snapshot })
    expect(decodeHandOuts(golden("hand-outs-2"))).toEqual({ generation: 42, places: snapshot.places })
  })

  it("read back what was written", () => {
    const place: fc.Arbitrary<GroupPlace> = fc.record({
      source: fc.nat(63),
      offset: fc.maxSafeNat(),
      holder: fc.option(
        fc.record({ clientId: fc.string({ unit: "grapheme" }), incarnation: fc.maxSafeNat(), handOut: fc.maxSafeNat() }),
        { nil: undefined }
      )
    })
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.array(fc.maxSafeNat()), fc.array(place), (generation, positions, places) => {
        expect(decodeSnapshot(encodeSnapshot(generation, { positions, places }))).toEqual({ generation, positions, places })
        expect(decodeHandOuts(encodeHandOuts(generation, places))).toEqual({ generation, places })
      })
    )
  })

  it("have keys that name the group, and the number of its hand-outs", () => {
    const text = fc.string({ unit: "grapheme" }).filter((one) => !one.includes("\u0000"))
    fc.assert(
      fc.property(text, text, fc.nat(), (name, filter, number) => {
        const group = snapshotKey(name, filter)
        expect(readGroupKey(group)).toEqual({ group, number: undefined })
        expect(readGroupKey(handOutsKey(group, number))).toEqual({ group, number })
      })
    )
  })

  it("of a version that is not known are none", () => {
    expect(decodeSnapshot(Buffer.from([6]))).toBeUndefined()
    expect(decodeHandOuts(Buffer.from([6]))).toBeUndefined()
  })
})

class Groups {
  readonly time = new ManualTime()
  readonly store: GroupStore
  private readonly log: MessageLog

  constructor(readonly shard = new ManualShard()) {
    this.store = Effect.runSync(GroupStore.open(shard, this.time))
    this.log = new MessageLog(
      [new ManualShard()],
      this.time,
      () => {},
      () => {}
    )
  }

  group(name = "g"): SharedGroup {
    return new SharedGroup(name, "a/#", "round-robin", () => 0.5, this.log, this.store)
  }

  /** A group that is kept, and is at the position. */
  kept(position: number, name = "g"): SharedGroup {
    const group = this.group(name)
    this.store.keep(group, () => ({ positions: [position], places: [] }))
    this.commit()
    return group
  }

  commit(): void {
    this.time.endTick()
    this.shard.commit()
  }

  get again(): Groups {
    return new Groups(this.shard)
  }
}

const place = (offset: number, holder: typeof ada | undefined): GroupPlace => ({ source: 0, offset, holder })

describe("GroupStore", () => {
  it("tells of a hand-out when it is durable, and not before; those of one tick are one record", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    const before = groups.shard.endOffset()
    let durable = 0
    for (const offset of [10, 11]) groups.store.handedOut(group, 0, offset, { ...ada, handOut: offset }, () => durable++)
    groups.time.endTick()
    expect(durable).toBe(0)
    groups.shard.commit()
    expect(durable).toBe(2)
    expect(groups.shard.endOffset()).toBe(before + 1)
    const stored = groups.again.store.stored(group)
    expect(stored?.positions).toEqual([10])
    expect([...(stored?.placesByKey.values() ?? [])]).toEqual(
      [10, 11].map((offset) => place(offset, { ...ada, handOut: offset }))
    )
  })

  it("keeps what was said of a place last", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    for (const holder of [ada, undefined, { ...ada, clientId: "bob" }, undefined]) {
      groups.store.handedOut(group, 0, 10, holder)
      groups.commit()
    }
    expect([...(groups.again.store.stored(group)?.placesByKey.values() ?? [])]).toEqual([place(10, undefined)])
  })

  it("forgets hand-outs that a later snapshot has taken in", () => {
    const groups = new Groups()
    const group = groups.group()
    let position = 10
    groups.store.keep(group, () => ({ positions: [position], places: [] }))
    groups.commit()
    for (let round = 0; round < 3; round++) {
      for (const offset of [position, position + 1]) {
        groups.store.handedOut(group, 0, offset, ada)
        groups.commit()
      }
      position += 2
      groups.store.save(group)
      groups.commit()
    }
    const stored = groups.again.store.stored(group)
    expect(stored?.positions).toEqual([16])
    expect(stored?.placesByKey.size).toBe(0)
  })

  it("writes a snapshot only where something is new", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    const before = groups.shard.endOffset()
    groups.store.save(group)
    groups.commit()
    expect(groups.shard.endOffset()).toBe(before)
  })

  it("writes another snapshot behind so many hand-outs", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    for (let tick = 0; tick < 5; tick++) {
      for (let count = 0; count < 1000; count++) groups.store.handedOut(group, 0, 10 + tick * 1000 + count, ada)
      groups.commit()
    }
    // The snapshot of this test knows of no place: the fifth thousand is in it.
    expect(groups.again.store.stored(group)?.placesByKey.size).toBe(0)
  })

  it("makes good by a snapshot what could not be written, and tells only then", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    let durable = 0
    groups.store.handedOut(group, 0, 10, ada, () => durable++)
    groups.time.endTick()
    groups.shard.fail()
    groups.store.handedOut(group, 0, 11, ada, () => durable++)
    groups.time.endTick()
    groups.shard.fail()
    expect(durable).toBe(0)
    groups.time.advance(1000)
    groups.commit()
    expect(durable).toBe(2)
    expect(groups.again.store.stored(group)?.placesByKey.size).toBe(0)
  })

  it("keeps of a group without members that it is past everything, until no member can come back", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    groups.store.handedOut(group, 0, 10, ada)
    const left = groups.store.leaving(group)
    groups.store.retire(group, [99])
    groups.commit()
    expect(groups.again.store.stored(group)).toEqual({ positions: [99], placesByKey: new Map() })
    left()
    groups.commit()
    expect(groups.again.store.stored(group)).toBeUndefined()
  })

  it("goes on with a group that is there again before it was forgotten", () => {
    const groups = new Groups()
    const group = groups.kept(10)
    const left = groups.store.leaving(group)
    groups.store.retire(group, [99])
    left()
    groups.time.endTick()
    groups.kept(100)
    groups.commit()
    groups.commit()
    const { store } = groups.again
    expect(store.stored(group)?.positions).toEqual([100])
  })

  it("removes at a start what it holds of groups that nobody came back to", () => {
    const groups = new Groups()
    const gone = groups.kept(10, "gone")
    const stays = groups.kept(20, "stays")
    groups.store.handedOut(gone, 0, 10, ada)
    groups.commit()
    const { again } = groups
    again.store.keep(again.group("stays"), () => ({ positions: [20], places: [] }))
    again.store.started()
    again.commit()
    const after = again.again.store
    expect(after.stored(gone)).toBeUndefined()
    expect(after.stored(stays)?.positions).toEqual([20])
  })
})

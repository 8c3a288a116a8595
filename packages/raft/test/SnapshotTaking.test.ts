/**
 * When a snapshot of a member's own state is taken, what it says, and what it gives way to.
 */

import type { SnapshotMeta } from "@effectmq/schemas/raft/SnapshotMeta"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, expect, it } from "vitest"
import type { RaftMachine } from "../src/core/RaftMachine.js"
import { SnapshotTaking } from "../src/internal/SnapshotTaking.js"
import { emptyContents, make as makeStore } from "../src/MemoryRaftStore.js"
import { defaultOptions } from "../src/RaftNodeOptions.js"
import { RaftStoreError } from "../src/RaftStore.js"
import type { RaftUnavailable } from "../src/RaftUnavailable.js"
import { until } from "./support/Group.js"
import { Registry } from "./support/Registry.js"
import { commands, members, snapshotOf } from "./support/StoreSamples.js"

const scope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** A member that has applied ten entries; its membership changed with the last one that it has not applied. */
const member = async () => {
  const machine = {
    appliedIndex: 10,
    firstIndex: 1,
    snapshot: undefined as SnapshotMeta | undefined,
    isReceivingSnapshot: false,
    electionTicks: 8,
    followers: [] as ReadonlyArray<{
      readonly state: string
      readonly silentTicks: number
    }>,
    membership: { ...members, voters: [1, 2, 3, 4], learners: [] },
    membershipAt: (index: number) => (index <= 10 ? members : machine.membership),
    termAt: () => 1,
    compactionPoint: () => 0,
    compact: () => undefined,
    snapshotTaken: (snapshot: SnapshotMeta) => {
      machine.snapshot = snapshot
    }
  }
  const store = makeStore(emptyContents())
  await Effect.runPromise(store.persist({ entries: commands(1, 11, 1) }))
  const registry = new Registry()
  let wakes = 0
  const snapshotsTaken = { value: 0 }
  const options = {
    ...defaultOptions,
    nodeId: 1,
    initialMembers: [],
    contacts: [],
    snapshotEntries: 10,
    snapshotBytes: 1_000
  }
  const wake = () => {
    wakes++
  }
  const taking = new SnapshotTaking(options, machine as unknown as RaftMachine, store, registry, scope, wake, snapshotsTaken)
  /** A turn of the driver. */
  const turn = async () => {
    await Effect.runPromise(taking.advance)
    // The state machine makes it beside this.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const taken = async () => {
    for (let at = 0; at < 20; at++) await turn()
    return snapshotsTaken.value
  }
  return { machine, store, taking, registry, turn, taken, snapshotsTaken, wakes: () => wakes }
}

it("is taken when so many entries were applied, and says who was a member then", async () => {
  const { taking, taken, machine } = await member()
  taking.applied(9, 0)
  expect(await taken()).toBe(0)
  taking.applied(1, 0)
  expect(await taken()).toBe(1)
  expect(machine.snapshot).toMatchObject({
    index: 10,
    term: 1,
    membership: members
  })
  machine.appliedIndex = 11
  taking.applied(9, 0)
  expect(await taken()).toBe(1)
})

it("is taken when so many bytes were applied, and as many as the last one had", async () => {
  const { taking, taken, machine } = await member()
  taking.applied(1, 999)
  expect(await taken()).toBe(0)
  taking.applied(1, 1)
  expect(await taken()).toBe(1)
  machine.appliedIndex = 11
  machine.snapshot = { ...snapshotOf(10, 1, []), bytes: 2_000 }
  taking.applied(1, 1_999)
  expect(await taken()).toBe(1)
  taking.applied(1, 1)
  expect(await taken()).toBe(2)
})

it("waits for a follower that loads the last one, for a while, and not for one that is gone", async () => {
  const loading = (silentTicks: number) => [{ state: "snapshot", silentTicks }]
  const patient = await member()
  patient.machine.followers = loading(7)
  patient.taking.applied(39, 0)
  expect(await patient.taken()).toBe(0)
  patient.taking.applied(1, 0)
  expect(await patient.taken()).toBe(1)
  const alone = await member()
  alone.machine.followers = loading(8)
  alone.taking.applied(10, 0)
  expect(await alone.taken()).toBe(1)
})

it("is not tried again at once where the state machine cannot make one", async () => {
  const { taking, taken, registry } = await member()
  let tries = 0
  const snapshot = registry.snapshot.bind(registry)
  registry.snapshot = () => {
    tries++
    return Effect.dieMessage("a bug")
  }
  taking.applied(10, 0)
  await taken()
  taking.applied(10, 0)
  await taken()
  expect(tries).toBe(1)
  registry.snapshot = snapshot
  for (let tick = 0; tick < 99; tick++) taking.tick()
  expect(await taken()).toBe(0)
  taking.tick()
  expect(await taken()).toBe(1)
})

it("is as due as it was after an attempt that found no space, and is made after a while", async () => {
  const { store, taking, taken } = await member()
  const stage = store.stageSnapshotChunk
  let tries = 0
  store.stageSnapshotChunk = () => {
    tries++
    return Effect.fail(new RaftStoreError({ reason: "full", message: "no space" }))
  }
  taking.applied(10, 0)
  expect(await taken()).toBe(0)
  expect(tries).toBe(1)
  store.stageSnapshotChunk = stage
  for (let tick = 0; tick < 99; tick++) taking.tick()
  expect(await taken()).toBe(0)
  taking.tick()
  expect(await taken()).toBe(1)
})

it("gives who wishes for one while one is made the next, and asks for a turn to do so", async () => {
  for (const ends of ["taken", "given up"] as const) {
    const { machine, taken, taking, turn, wakes } = await member()
    const outcomes: Array<SnapshotMeta | RaftUnavailable> = []
    const wish = () => taking.wish((outcome) => void outcomes.push(outcome))
    wish()
    await turn()
    await until(() => wakes() === 2)
    wish()
    if (ends === "given up") machine.isReceivingSnapshot = true
    expect(wakes()).toBe(3)
    await turn()
    expect(outcomes).toHaveLength(1)
    expect(wakes()).toBe(4)
    machine.isReceivingSnapshot = false
    await taken()
    expect(outcomes[1]).toMatchObject({ index: 10 })
  }
})

it("gives way to one of the leader, while it comes in and when it is there", async () => {
  for (const gives of ["incoming", "installed"] as const) {
    const { taking, turn, machine, snapshotsTaken, wakes } = await member()
    let outcome: SnapshotMeta | RaftUnavailable | undefined
    taking.wish((now) => {
      outcome = now
    })
    await turn()
    // Once for the wish, and once when it is made.
    await until(() => wakes() === 2)
    if (gives === "incoming") machine.isReceivingSnapshot = true
    else taking.installed()
    await turn()
    expect(outcome).toMatchObject({ reason: "busy" })
    expect(snapshotsTaken.value).toBe(0)
    expect(machine.snapshot).toBeUndefined()
  }
})

/**
 * One member of three whose others are the test: it says what comes and sees what is sent. No tick passes, so that whatever the member
 * does it does because of what came.
 */
import type { Entry } from "@effectmq/schemas/raft/Entry"
import type { RaftMessage } from "@effectmq/schemas/raft/RaftMessage"
import * as Effect from "effect/Effect"
import { afterEach, describe, expect, it } from "vitest"
import { Inbox } from "../src/internal/Inbox.js"
import { RaftStoreError } from "../src/RaftStore.js"
import type { RaftUnavailable } from "../src/RaftUnavailable.js"
import { Group, type Running, until } from "./support/Group.js"
import { snapshotOf } from "./support/StoreSamples.js"

const hourMs = 3_600_000
const options = { tickMs: hourMs, heartbeatMs: hourMs, electionMsMin: 10 * hourMs, electionMsMax: 10 * hourMs }

const groups: Array<Group> = []
afterEach(async () => {
  for (const one of groups.splice(0)) await one.stopAll()
})

/** Some turns of everybody: what is going to happen at once has happened. */
const turns = async (): Promise<void> => {
  for (let at = 0; at < 20; at++) await new Promise((resolve) => setImmediate(resolve))
}

const failure = <A>(effect: Effect.Effect<A, RaftUnavailable>): Promise<RaftUnavailable> => Effect.runPromise(Effect.flip(effect))

const command = (index: number, term: number, data: Uint8Array = Buffer.from(`text ${index}`)): Entry => ({
  kind: "command",
  index,
  term,
  data
})

/** Behind the entry of the group's beginning. */
const append = (from: number, term: number, entries: ReadonlyArray<Entry> = [], commitIndex = 1): RaftMessage => ({
  _tag: "AppendRequest",
  from,
  to: 1,
  term,
  previousIndex: 1,
  previousTerm: 1,
  entries,
  commitIndex,
  readRound: 0
})

const member = async (more: ConstructorParameters<typeof Group>[1] = {}, prepare: (group: Group) => void = () => {}) => {
  const group = new Group([1, 2, 3], { ...options, ...more })
  groups.push(group)
  const sent: Array<RaftMessage> = []
  let listener: (message: RaftMessage) => void = () => {}
  group.hub.transport = () => ({
    send: (message) => void sent.push(message),
    setMembers: () => {},
    onMessage: (next) => {
      listener = next
      return () => {}
    }
  })
  prepare(group)
  const asked = () => sent.flatMap((message) => (message._tag === "ReadIndexRequest" ? [message] : []))
  const deliver = (message: RaftMessage) => listener(message)
  /** Node 2 leads in term 2, and the member knows it. */
  const follow = async (one: Running) => {
    deliver(append(2, 2))
    await until(() => one.node.status().leaderId === 2)
    await turns()
  }
  return { group, sent, asked, deliver, follow, one: await group.start(1) }
}

describe("a read that waits", () => {
  it("is asked of the next leader as soon as there is one", async () => {
    const { one, asked, deliver } = await member()
    const read = Effect.runPromise(one.node.readBarrier)
    // It is known that nobody leads: there is nobody to ask.
    await turns()
    expect(asked()).toEqual([])
    deliver(append(2, 2))
    await until(() => asked().length === 1)
    deliver(append(3, 3))
    await until(() => asked().length === 2)
    expect(asked().map(({ to, term }) => [to, term])).toEqual([
      [2, 2],
      [3, 3]
    ])
    const requestId = asked()[1]?.requestId as number
    deliver({ _tag: "ReadIndexReply", from: 3, to: 1, term: 3, requestId, index: 1 })
    expect(await read).toBe(1)
  })

  it("after a restart is not answered by what was asked before it", async () => {
    const { group, one, asked, deliver, follow } = await member()
    await follow(one)
    const lost = failure(one.node.readBarrier)
    await until(() => asked().length === 1)
    await one.stop()
    expect((await lost).reason).toBe("closed")

    const again = await group.start(1)
    await follow(again)
    let answer = -1
    const read = Effect.runPromise(again.node.readBarrier).then((index) => {
      answer = index
    })
    await until(() => asked().length === 2)
    const [before, after] = asked().map(({ requestId }) => requestId) as [number, number]
    const reply = (requestId: number) => deliver({ _tag: "ReadIndexReply", from: 2, to: 1, term: 2, requestId, index: 1 })
    reply(before)
    await turns()
    expect(answer).toBe(-1)
    reply(after)
    await read
    expect(answer).toBe(1)
  })
})

describe("a member that is out", () => {
  it("takes no message any more, and holds none", async () => {
    const { one, sent, deliver, follow } = await member({ inboxMessagesMax: 10 })
    await follow(one)
    const figures = () => ["received", "sent", "dropped"].map((name) => one.figures().get(`effectmq_raft_messages_${name}_total`))
    deliver(append(2, 2))
    one.node.fence("a reason")
    const before = figures()
    for (let at = 0; at < 30; at++) deliver(append(3, 3))
    await until(() => one.lines.length === 1)
    await turns()
    expect(figures()).toEqual(before)
    expect(sent).toHaveLength(1)
    expect(one.node.status().term).toBe(2)
    expect(one.lines).toEqual(["FATAL this node takes part no more in its raft group: a reason"])
  })

  it("in the middle of what it applies does nothing that comes behind that", async () => {
    const { one, sent, asked, deliver, follow } = await member({ snapshotEntries: 2 })
    let snapshots = 0
    one.registry.snapshot = () => {
      snapshots++
      return Effect.succeed([])
    }
    await follow(one)
    const read = failure(one.node.readBarrier)
    await until(() => asked().length === 1)
    const requestId = asked()[0]?.requestId as number
    deliver({ _tag: "ReadIndexReply", from: 2, to: 1, term: 2, requestId, index: 2 })
    await turns()
    sent.length = 0
    // Too large to be applied in one go.
    const large = Buffer.alloc(3 * 1024 * 1024)
    one.registry.onApply = () => one.node.fence("another state than the others")
    deliver(append(2, 2, [command(2, 2, large), command(3, 2, large)], 3))
    expect((await read).reason).toBe("fenced")
    await turns()
    expect(one.registry.told).toEqual(["apply 2"])
    expect(sent).toEqual([])
    expect(snapshots).toBe(0)
    expect(one.lines).toEqual(["FATAL this node takes part no more in its raft group: another state than the others"])
  })

  it("in a turn that stores nothing says nothing after what it applies", async () => {
    const { one, sent, deliver } = await member()
    deliver(append(2, 2, [command(2, 2)]))
    await until(() => sent.length === 1)
    sent.length = 0
    let writes = one.figures().get("effectmq_raft_writes_total")
    one.registry.onApply = () => {
      writes = one.figures().get("effectmq_raft_writes_total")
      one.node.fence("another state than the others")
    }
    const before = writes
    deliver({ ...append(2, 2, [], 2), previousIndex: 2, previousTerm: 2 } as RaftMessage)
    await until(() => one.lines.length > 0)
    expect(writes).toBe(before)
    expect(one.registry.told).toEqual(["apply 2"])
    expect(sent).toEqual([])
    expect(one.node.status()).toMatchObject({ commitIndex: 2, appliedIndex: 1 })
  })

  it("in the middle of what it applies installs no snapshot and begins to lead no more", async () => {
    const { group, one, sent, deliver } = await member()
    one.registry.onApply = () => one.node.fence("another state than the others")
    const data = Buffer.from("[]")
    const snapshot = snapshotOf(9, 2, [data])
    deliver(append(2, 2, [command(2, 2)], 2))
    deliver({ _tag: "SnapshotRequest", from: 2, to: 1, term: 2, snapshot, chunk: 0, data })
    await until(() => one.lines.length > 0)
    expect(one.registry.told).toEqual(["apply 2"])
    expect(group.contentsOf(1).snapshot).toBeUndefined()
    expect(sent).toEqual([])

    const other = await member()
    other.one.registry.onApply = () => other.one.node.fence("another state than the others")
    other.deliver(append(2, 2, [command(2, 2)], 2))
    other.deliver({ _tag: "TimeoutNow", from: 2, to: 1, term: 2 })
    other.deliver({ _tag: "VoteReply", from: 3, to: 1, term: 3, preVote: false, granted: true })
    await until(() => other.one.lines.length > 0)
    expect(other.one.node.status()).toMatchObject({ role: "leader", term: 3 })
    expect(other.one.registry.told).toEqual(["apply 2"])
  })

  it("while it writes says nothing of what it wrote, and does not apply it", async () => {
    let written = () => {}
    const { one, sent, deliver } = await member({}, (group) => {
      group.wrapStore = (store) => ({
        ...store,
        persist: (write) =>
          write.entries?.[0]?.index === 2
            ? Effect.zipRight(
                Effect.async<void>((resume) => {
                  written = () => resume(Effect.void)
                }),
                store.persist(write)
              )
            : store.persist(write)
      })
    })
    const idle = written
    deliver(append(2, 2, [command(2, 2)], 2))
    await until(() => written !== idle)
    sent.length = 0
    one.node.fence("a reason")
    written()
    await until(() => one.lines.length === 1)
    await turns()
    expect(sent).toEqual([])
    expect(one.registry.told).toEqual([])
    expect(one.lines).toEqual(["FATAL this node takes part no more in its raft group: a reason"])
  })

  it("for a snapshot that it cannot use does not say that it has it", async () => {
    const { one, sent, deliver } = await member()
    const data = Buffer.from("{")
    const snapshot = snapshotOf(9, 1, [data])
    deliver({ _tag: "SnapshotRequest", from: 2, to: 1, term: 2, snapshot, chunk: 0, data })
    await until(() => one.lines.length > 0)
    await turns()
    expect(one.node.status().fenced).toMatch(/^the snapshot at 9 cannot be used/)
    expect(sent).toEqual([])
    expect(one.lines).toHaveLength(1)
  })

  it("as it begins to lead sends nothing of that", async () => {
    const { one, sent, deliver } = await member()
    one.registry.onBegan = () => one.node.fence("it must not lead")
    deliver({ _tag: "TimeoutNow", from: 2, to: 1, term: 1 })
    await until(() => sent.some((message) => message._tag === "VoteRequest" && !message.preVote))
    const { term } = one.node.status()
    deliver({ _tag: "VoteReply", from: 2, to: 1, term, preVote: false, granted: true })
    await until(() => one.lines.length > 0)
    await turns()
    expect(one.registry.told).toEqual([`began ${term}`, `ended ${term}`])
    expect(one.lines).toEqual(["FATAL this node takes part no more in its raft group: it must not lead"])
  })
})

it("a tick between two turns that throws takes its member out", async () => {
  let isArmed = false
  const { one, deliver } = await member({ tickMs: 5 }, ({ hub }) => {
    const { transport } = hub
    hub.transport = (nodeId) => ({
      ...transport(nodeId),
      setMembers: () => {
        if (isArmed) throw new Error("nobody is reached")
      }
    })
  })
  const voters = [1, 2, 3]
  const members = voters.map((nodeId) => ({ nodeId, address: `moved-${nodeId}:1` }))
  deliver(
    append(2, 2, [{ kind: "membership", index: 2, term: 2, membership: { members, voters, outgoingVoters: [], learners: [] } }])
  )
  await until(() => one.node.status().membershipIndex === 2)
  // Whoever is in the membership is told as it is taken in, and once more with a tick when that is committed.
  isArmed = true
  deliver({ ...append(2, 2, [], 2), previousIndex: 2, previousTerm: 2 } as RaftMessage)
  await until(() => one.node.status().fenced !== undefined)
  expect(one.node.status()).toMatchObject({ fenced: "nobody is reached", commitIndex: 2 })
})

describe("a disk without space", () => {
  it("lets go of what came meanwhile", async () => {
    let full = false
    const { one, sent, deliver, follow } = await member({}, (group) => {
      group.wrapStore = (store) => ({
        ...store,
        persist: (write) =>
          Effect.suspend(() =>
            full ? Effect.fail(new RaftStoreError({ reason: "full", message: "no space" })) : store.persist(write)
          )
      })
    })
    await follow(one)
    full = true
    deliver(append(2, 2, [command(2, 2)], 1))
    await until(() => one.node.status().noSpace !== undefined)
    const asks = (requestId: number) => deliver({ _tag: "ReadIndexRequest", from: 3, to: 1, term: 2, requestId })
    asks(1)
    full = false
    await until(() => one.node.status().noSpace === undefined)
    asks(2)
    await until(() => sent.some((message) => message._tag === "ReadIndexReply"))
    expect(sent.flatMap((message) => (message._tag === "ReadIndexReply" ? [message.requestId] : []))).toEqual([2])
  })
})

it("an inbox holds as many as it may, and none once it is closed", () => {
  const inbox = new Inbox(2)
  const [first, second, third] = [append(2, 2), append(2, 3), append(2, 4)]
  expect([first, second, third].map((message) => inbox.offer(message))).toEqual(["taken", "taken", "full"])
  expect(inbox.size).toBe(2)
  expect(inbox.takeAll()).toEqual([first, second])
  expect(inbox.takeAll()).toEqual([])
  expect(inbox.offer(third)).toBe("taken")
  inbox.close()
  expect(inbox.size).toBe(0)
  expect(inbox.offer(first)).toBe("closed")
  expect(inbox.takeAll()).toEqual([])
})

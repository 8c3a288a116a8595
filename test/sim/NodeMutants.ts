/**
 * Bugs made on purpose, to show that the checks see what they are there to see. Each is what somebody might write by mistake, put
 * between the broker and one of its ports; a test finds a seed that catches it.
 */
import type { OpenedSessions, SessionStoreService } from "@effectmq/mqtt/SessionStore"
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { forEachRecord, type RecordCursor } from "@effectmq/schemas/record/RecordCursor"
import type { DiskService } from "@effectmq/storage/Disk"
import type { Shard } from "@effectmq/storage/Shard"
import type { ShardEngineService } from "@effectmq/storage/ShardEngine"
import * as Effect from "effect/Effect"
import type { SimulationOptions } from "./Simulation.js"

export interface Mutant {
  /** What the code does that it must not do. */
  readonly bug: string
  readonly options: SimulationOptions
  /** What has to be said of it, so that it is caught for what it is. */
  readonly saidOf: RegExp
  /** Where the search for a seed that catches it begins: near one, when this was written. */
  readonly from: number
}

/** The same object with some of its properties replaced. */
const changed = <A extends object>(object: A, changes: Partial<A>): A =>
  new Proxy(object, {
    get: (target, name) => {
      if (name in changes) return changes[name as keyof A]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === "function" ? value.bind(target) : value
    }
  })

const onShards = (topic: string, change: (shard: Shard) => Partial<Shard>): SimulationOptions => ({
  wrapEngine: (engine: ShardEngineService) =>
    changed(engine, {
      open: (id, options) =>
        Effect.map(engine.open(id, options), (shard) => (id.topic === topic ? changed(shard, change(shard)) : shard))
    })
})

const onDisk = (change: (disk: DiskService) => Partial<DiskService>): SimulationOptions => ({
  wrapDisk: (disk: DiskService) => changed(disk, change(disk))
})

const onSessions = (change: (opened: OpenedSessions) => Partial<OpenedSessions>): SimulationOptions => ({
  wrapSessions: (sessions: SessionStoreService) =>
    changed(sessions, {
      open: (tenant) => Effect.map(sessions.open(tenant), (opened) => ({ ...opened, ...change(opened) }))
    })
})

/** What is appended is told to be durable at once. */
const impatient = (shard: Shard): Partial<Shard> => ({
  append: (batch, done) => {
    const offset = shard.append(batch, (error) => {
      if (offset < 0) done(error, -1)
    })
    if (offset >= 0) queueMicrotask(() => done(undefined, offset))
    return offset
  }
})

/** The batch without some of its records; undefined where none is left. */
const without = (batch: Uint8Array, drops: (record: RecordCursor) => boolean): Uint8Array | undefined => {
  const builder = new RecordBatchBuilder()
  forEachRecord(batch, (record) => {
    if (!drops(record)) builder.append(record.timestampMs, record.key, record.value)
  })
  return builder.count === 0 ? undefined : builder.finish()
}

/** Appends less than was asked for, and says nothing of it. */
const forgetful =
  (drops: (record: RecordCursor) => boolean) =>
  (shard: Shard): Partial<Shard> => ({
    append: (batch, done) => {
      const kept = without(batch, drops)
      if (kept !== undefined) return shard.append(kept, done)
      const offset = shard.endOffset()
      queueMicrotask(() => done(undefined, offset))
      return offset
    }
  })

const keyOf = (record: RecordCursor): string => record.key?.toString("utf8") ?? ""

/** Every third of the records that `concerns` picks. */
const everyThird = (concerns: (record: RecordCursor) => boolean) => {
  let count = 0
  return (record: RecordCursor): boolean => concerns(record) && ++count % 3 === 0
}

export const nodeMutants: ReadonlyArray<Mutant> = [
  {
    bug: "a publish is acknowledged before it is durable",
    options: onShards("__mqtt", impatient),
    saidOf: /nothingLost|groupsServed/,
    from: 7
  },
  {
    bug: "a session is confirmed before it is durable",
    options: onShards("__sessions", impatient),
    saidOf: /its session is gone|nothingLost|nothingTwice|not released/,
    from: 4
  },
  {
    bug: "now and then a retained message is kept in memory alone",
    options: onShards("__retained", forgetful(everyThird(() => true))),
    saidOf: /retained at|retainedSeen/,
    from: 1
  },
  {
    bug: "the write-ahead log is not synced",
    options: onDisk((disk) => ({ sync: (file) => (file.path.endsWith(".wal") ? Promise.resolve() : disk.sync(file)) })),
    saidOf: /damaged|missing/,
    from: 1
  },
  {
    bug: "an append that failed counts as done",
    options: onShards("__mqtt", (shard) => ({
      append: (batch, done) => shard.append(batch, (_error, offset) => done(undefined, Math.max(0, offset)))
    })),
    saidOf: /nothingLost|groupsServed/,
    from: 7
  },
  {
    bug: "a message is appended twice",
    options: onShards("__mqtt", (shard) => ({
      append: (batch, done) => {
        const again = Uint8Array.from(batch)
        const offset = shard.append(batch, done)
        if (offset >= 0) shard.append(again, () => {})
        return offset
      }
    })),
    saidOf: /nothingTwice|groupsServedOnce/,
    from: 1
  },
  {
    bug: "a reader that lags passes over the last batch of what it reads",
    options: onShards("__mqtt", (shard) => ({
      read: (from, options) =>
        Effect.map(shard.read(from, options), ({ batches, nextOffset }) => ({ batches: batches.slice(0, -1), nextOffset }))
    })),
    saidOf: /nothingLost|groupsServed/,
    from: 3
  },
  {
    bug: "batches are skipped where their first message is not wanted",
    options: onShards("__mqtt", (shard) => ({
      read: (from, options) =>
        Effect.map(shard.read(from, options), ({ batches, nextOffset }) => {
          const isWanted = (batch: Uint8Array) => {
            let wanted = true
            forEachRecord(batch, ({ key }) => {
              wanted = options.keyFilter === undefined || key === undefined || options.keyFilter(key)
              return false
            })
            return wanted
          }
          return { batches: batches.filter(isWanted), nextOffset }
        })
    })),
    saidOf: /nothingLost|groupsServed/,
    from: 3
  },
  {
    bug: "the log is cut a little behind where it may be",
    options: onShards("__mqtt", (shard) => ({
      trim: (offset) => shard.trim(Math.min(offset + 3, shard.committedOffset()))
    })),
    saidOf: /nothingLost|groupsServed/,
    from: 14
  },
  {
    bug: "what ended or was unsubscribed is not removed from storage",
    options: onShards(
      "__sessions",
      forgetful((record) => record.value === undefined)
    ),
    saidOf: /nothingUnasked|session present, but there can be none|should have expired/,
    from: 22
  },
  {
    bug: "progress of sessions is written only now and then",
    options: onShards("__sessions", forgetful(everyThird((record) => keyOf(record).startsWith("p")))),
    saidOf: /nothingTwice|not released|retainedOncePerSubscribe/,
    from: 7
  },
  {
    bug: "hand-outs of shared groups are forgotten at a start",
    options: onShards(
      "__groups",
      forgetful((record) => keyOf(record).split("\u0000").length === 3)
    ),
    saidOf: /groupsServedOnce/,
    from: 7
  },
  {
    bug: "a start does not look for QoS 2 messages that reached the log",
    options: onSessions(({ store }) => ({
      store: changed(store, { checkpointPositions: Array.from({ length: 64 }, () => Number.MAX_SAFE_INTEGER) })
    })),
    saidOf: /nothingTwice/,
    from: 1
  },
  {
    bug: "a start forgets what was in flight",
    options: onSessions(({ sessionsByClientId }) => ({
      sessionsByClientId: new Map(
        [...sessionsByClientId].map(([clientId, session]) => {
          const progress = session.progress && { ...session.progress, inflight: [] }
          return [clientId, { ...session, progress }]
        })
      )
    })),
    saidOf: /nothingLost|nothingTwice|groupsServed|not released|does not come to rest/,
    from: 1
  },
  {
    bug: "a start begins anew with retained messages that were on their way",
    options: onSessions(({ sessionsByClientId }) => ({
      sessionsByClientId: new Map(
        [...sessionsByClientId].map(([clientId, session]) => {
          const progress = session.progress && { ...session.progress, replays: [] }
          return [clientId, { ...session, progress }]
        })
      )
    })),
    saidOf: /retainedOncePerSubscribe/,
    from: 21
  }
]

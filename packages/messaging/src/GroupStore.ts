/**
 * What durable shared groups must know after a restart, kept in the compacted topic `__groups` (`core/GroupRecords`): how far a
 * group has read, what of that is not done, and which messages it has begun to give at QoS 2, and to whom.
 *
 * A snapshot of a group is written every few seconds, so that a crash can repeat what was acknowledged since at QoS 1. Every
 * hand-out at QoS 2 is written behind it, all of one tick in one record, and is told when that is durable.
 *
 * Invariants
 * - One write is on its way at a time; what comes meanwhile is gathered. A write that failed is made good by a snapshot, before any
 *   other hand-out of that group.
 * - A group that has no members keeps a record that says that nothing before it matters, until it is certain that no session comes
 *   back as its member.
 */
import { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import { replayShard } from "@effectmq/storage/replayShard"
import type { Shard } from "@effectmq/storage/Shard"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import {
  decodeHandOuts,
  decodeSnapshot,
  encodeHandOuts,
  encodeSnapshot,
  type GroupPlace,
  type GroupSnapshot,
  type Holder,
  handOutsKey,
  placeKey,
  readGroupKey,
  snapshotKey
} from "./core/GroupRecords.js"
import type { HandOutJournal, SharedGroup } from "./SharedGroup.js"
import type { Time } from "./Time.js"

/** Hand-outs behind one snapshot: past them another is written. */
const handOutsMax = 4096
const batchBytesMax = 1024 * 1024
const retryMs = 1000

/** A group as the topic holds it, its hand-outs put into the snapshot. */
export interface StoredGroup {
  readonly positions: ReadonlyArray<number>
  /** By source and offset. */
  readonly placesByKey: ReadonlyMap<string, GroupPlace>
}

interface Loaded {
  generation: number
  positions: ReadonlyArray<number> | undefined
  readonly placesByKey: Map<string, GroupPlace>
  /** One past the highest number of its hand-outs. */
  numbers: number
}

/** One group's part of the topic. */
class GroupLog {
  /** What there is to write; undefined removes everything. */
  snapshot: (() => GroupSnapshot) | undefined
  isDirty = true
  handOuts: Array<GroupPlace> = []
  /** To be called when what is dirty is durable. */
  gates: Array<() => void> = []
  /** Hand-outs since the snapshot. */
  handOutCount = 0
  nextNumber = 0
  generation = 0
  /** The newest snapshot; undefined where it may not be stored. */
  saved: Buffer | undefined
  /** Members whose leaving is being written. */
  leaving = 0
  isRetired = false

  constructor(
    readonly key: string,
    /** One past the highest number that stands in the topic. */
    public numbers: number
  ) {}
}

interface Written {
  readonly log: GroupLog
  readonly isRemoval: boolean
  readonly gates: ReadonlyArray<() => void>
}

const keyOf = (group: SharedGroup): string => snapshotKey(group.name, group.filter)

export class GroupStore implements HandOutJournal {
  private readonly loadedByKey = new Map<string, Loaded>()
  private readonly logsByKey = new Map<string, GroupLog>()
  private marked = new Set<GroupLog>()
  private generation = 0
  private scheduled = false
  private writing = 0
  private readonly builder = new RecordBatchBuilder()

  private constructor(
    private readonly shard: Shard,
    private readonly time: Time
  ) {}

  static open(shard: Shard, time: Time): Effect.Effect<GroupStore, StorageError | OffsetOutOfRange> {
    return Effect.gen(function* () {
      const store = new GroupStore(shard, time)
      yield* replayShard(shard, shard.startOffset(), (batch, fromOffset) =>
        forEachRecord(batch, (record) => {
          if (record.offset >= fromOffset) store.take(record.key?.toString("utf8") ?? "", record.value)
        })
      )
      return store
    })
  }

  /** The group as it was stored before the start; undefined where it was not. */
  stored(group: SharedGroup): StoredGroup | undefined {
    const loaded = this.loadedByKey.get(keyOf(group))
    return loaded?.positions === undefined ? undefined : { positions: loaded.positions, placesByKey: loaded.placesByKey }
  }

  /** The groups that go on from before the start are kept: what is stored of others goes. */
  started(): void {
    for (const [key, { numbers }] of this.loadedByKey) {
      if (!this.logsByKey.has(key)) this.mark(this.log(key, numbers))
    }
    this.loadedByKey.clear()
  }

  /** From now on the group is kept. */
  keep(group: SharedGroup, snapshot: () => GroupSnapshot): void {
    const key = keyOf(group)
    const log = this.log(key, this.loadedByKey.get(key)?.numbers ?? 0)
    log.snapshot = snapshot
    log.isRetired = false
    log.saved = undefined
    this.save(group)
  }

  /** A snapshot, where it differs from the last. */
  save(group: SharedGroup): void {
    const log = this.logsByKey.get(keyOf(group))
    if (log === undefined || log.isRetired) return
    log.isDirty = true
    this.mark(log)
  }

  handedOut(group: SharedGroup, source: number, offset: number, holder: Holder | undefined, durable?: () => void): void {
    const log = this.logsByKey.get(keyOf(group))
    if (log === undefined || log.isRetired) {
      durable?.()
      return
    }
    log.handOuts.push({ source, offset, holder })
    if (durable !== undefined) log.gates.push(durable)
    this.mark(log)
  }

  /** The group has no members any more. */
  retire(group: SharedGroup, ends: ReadonlyArray<number>): void {
    const log = this.logsByKey.get(keyOf(group))
    if (log === undefined) return
    log.isRetired = true
    log.isDirty = true
    log.snapshot = () => ({ positions: ends, places: [] })
    this.forgetRetired(log)
    this.mark(log)
  }

  /** A member leaves; the answer, to be called when no restart brings it back, lets a group that has no members be forgotten. */
  leaving(group: SharedGroup): () => void {
    const log = this.logsByKey.get(keyOf(group))
    if (log === undefined) return () => {}
    log.leaving++
    return () => {
      log.leaving--
      this.forgetRetired(log)
    }
  }

  /** Appends what has gathered: the last thing before the engine closes. */
  flush(): void {
    this.scheduled = false
    if (this.marked.size === 0) return
    const { marked } = this
    this.marked = new Set()
    // Held up by one until every batch of this round has been handed in.
    this.writing++
    const finish = () => {
      this.writing--
      if (this.marked.size > 0) this.schedule()
    }
    let batch: Array<Written> = []
    for (const log of marked) {
      const { gates } = log
      log.gates = []
      batch.push({ log, isRemoval: log.snapshot === undefined, gates })
      this.encode(log)
      if (this.builder.sizeBytes >= batchBytesMax) {
        this.append(batch, finish)
        batch = []
      }
    }
    this.append(batch, finish)
    finish()
  }

  private append(batch: ReadonlyArray<Written>, finish: () => void): void {
    if (this.builder.count === 0) return
    this.writing++
    this.shard.append(this.builder.finish(), (error) => {
      if (error === undefined) for (const written of batch) this.written(written)
      else this.refused(batch)
      finish()
    })
  }

  private written({ log, isRemoval, gates }: Written): void {
    if (isRemoval && log.snapshot === undefined) this.logsByKey.delete(log.key)
    for (const open of gates) open()
  }

  /** What could not be written is written again, by snapshots; who waits goes on waiting. */
  private refused(batch: ReadonlyArray<Written>): void {
    for (const { log, gates } of batch) {
      log.saved = undefined
      log.gates.unshift(...gates)
    }
    this.time.after(retryMs, () => {
      for (const { log } of batch) this.mark(log)
    })
  }

  private encode(log: GroupLog): void {
    const nowMs = this.time.nowMs()
    const { key, snapshot, handOuts } = log
    log.handOuts = []
    if (snapshot === undefined) {
      for (let number = 0; number < log.numbers; number++) this.builder.append(nowMs, handOutsKey(key, number), undefined)
      this.builder.append(nowMs, key, undefined)
      return
    }
    const handOutCount = log.handOutCount + handOuts.length
    if (!log.isDirty && log.saved !== undefined && handOutCount <= handOutsMax) {
      log.handOutCount = handOutCount
      const number = log.nextNumber++
      log.numbers = Math.max(log.numbers, log.nextNumber)
      this.builder.append(nowMs, handOutsKey(key, number), encodeHandOuts(log.generation, handOuts))
      return
    }
    log.isDirty = false
    const now = snapshot()
    if (handOutCount === 0 && log.saved?.equals(encodeSnapshot(log.generation, now)) === true) return
    log.generation = ++this.generation
    log.saved = encodeSnapshot(log.generation, now)
    log.handOutCount = 0
    log.nextNumber = 0
    this.builder.append(nowMs, key, log.saved)
  }

  private log(key: string, numbers: number): GroupLog {
    let log = this.logsByKey.get(key)
    if (log === undefined) {
      log = new GroupLog(key, numbers)
      this.logsByKey.set(key, log)
    }
    return log
  }

  private forgetRetired(log: GroupLog): void {
    if (!log.isRetired || log.leaving > 0) return
    log.snapshot = undefined
    this.mark(log)
  }

  private mark(log: GroupLog): void {
    this.marked.add(log)
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled || this.writing > 0) return
    this.scheduled = true
    this.time.afterTick(() => {
      if (this.scheduled) this.flush()
    })
  }

  private take(recordKey: string, value: Uint8Array | undefined): void {
    const { group, number } = readGroupKey(recordKey)
    let loaded = this.loadedByKey.get(group)
    if (loaded === undefined) {
      loaded = { generation: -1, positions: undefined, placesByKey: new Map(), numbers: 0 }
      this.loadedByKey.set(group, loaded)
    }
    if (number !== undefined) {
      loaded.numbers = Math.max(loaded.numbers, number + 1)
      const handOuts = value === undefined ? undefined : decodeHandOuts(value)
      if (handOuts === undefined || handOuts.generation !== loaded.generation) return
      for (const place of handOuts.places) loaded.placesByKey.set(placeKey(place.source, place.offset), place)
      return
    }
    const snapshot = value === undefined ? undefined : decodeSnapshot(value)
    loaded.placesByKey.clear()
    loaded.positions = snapshot?.positions
    loaded.generation = snapshot?.generation ?? -1
    this.generation = Math.max(this.generation, loaded.generation)
    for (const place of snapshot?.places ?? []) loaded.placesByKey.set(placeKey(place.source, place.offset), place)
  }
}

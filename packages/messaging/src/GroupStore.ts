/**
 * Where durable shared groups have got to, kept in the compacted topic `__groups`.
 *
 * Key: group name, 0, filter. Value, version 1 (all varints): version, number of sources, then per source the next offset to
 * look at, how many offsets are held (given out or returned, and not acknowledged), and these.
 *
 * It is written every few seconds and at stop, so that a crash can repeat what was acknowledged since: at least once.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import type { RecordBatchBuilder } from "@effectmq/schemas/record/RecordBatchBuilder"
import { forEachRecord } from "@effectmq/schemas/record/RecordCursor"
import type { Shard } from "@effectmq/storage/Shard"
import type { OffsetOutOfRange, StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import type { LogFeed } from "./LogFeed.js"
import type { SharedGroup } from "./SharedGroup.js"
import { ShardWriter } from "./ShardWriter.js"
import type { Time } from "./Time.js"

interface Progress {
  readonly positions: ReadonlyArray<number>
  readonly held: ReadonlyArray<{ readonly source: number; readonly offset: number }>
}

interface Write {
  readonly key: string
  readonly value: Uint8Array | undefined
}

const version = 1

export const encodeGroupProgress = (positions: ReadonlyArray<number>, held: ReadonlyArray<ReadonlyArray<number>>): Uint8Array => {
  const writer = new ByteWriter({ sizeBytes: 256 })
  writer.varint(version)
  writer.varint(positions.length)
  for (let source = 0; source < positions.length; source++) {
    writer.varlong(positions[source] as number)
    const offsets = held[source] ?? []
    writer.varint(offsets.length)
    for (const offset of offsets) writer.varlong(offset)
  }
  return Buffer.from(writer.buffer.subarray(0, writer.position))
}

/** undefined where the version is not known. */
export const decodeGroupProgress = (value: Uint8Array): Progress | undefined => {
  const reader = new ByteReader(value)
  if (reader.varint() !== version) return undefined
  const positions: Array<number> = []
  const held: Array<{ source: number; offset: number }> = []
  const sources = reader.varint()
  for (let source = 0; source < sources; source++) {
    positions.push(reader.varlong())
    for (let left = reader.varint(); left > 0; left--) held.push({ source, offset: reader.varlong() })
  }
  return { positions, held }
}

const keyOf = (group: SharedGroup): string => `${group.name}\u0000${group.filter}`

export class GroupStore {
  private readonly progressByKey = new Map<string, Progress>()
  private readonly savedByKey = new Map<string, Uint8Array>()
  private readonly writer: ShardWriter<Write>

  private constructor(
    shard: Shard,
    time: Time,
    private readonly sourceCount: number
  ) {
    this.writer = new ShardWriter<Write>(shard, time, encodeWrite, (writes, _baseOffset, error) => {
      // Not saved: the next round writes it again.
      if (error !== undefined) for (const { key } of writes) this.savedByKey.delete(key)
    })
  }

  static open(shard: Shard, time: Time, sourceCount: number): Effect.Effect<GroupStore, StorageError | OffsetOutOfRange> {
    return Effect.gen(function* () {
      const store = new GroupStore(shard, time, sourceCount)
      let position = shard.startOffset()
      while (position < shard.committedOffset()) {
        const result = yield* shard.read(position, { bytesMax: 1024 * 1024 })
        for (const batch of result.batches) {
          forEachRecord(batch, (record) => {
            const key = record.key?.toString("utf8") ?? ""
            const progress = record.value === undefined ? undefined : decodeGroupProgress(record.value)
            if (progress === undefined) store.progressByKey.delete(key)
            else store.progressByKey.set(key, progress)
          })
        }
        position = result.nextOffset
      }
      return store
    })
  }

  /** Where the group was when it was last saved. */
  positions(group: SharedGroup): ReadonlyArray<number> | undefined {
    return this.progressByKey.get(keyOf(group))?.positions
  }

  /** What it held then and no member has claimed since. */
  held(group: SharedGroup): ReadonlyArray<{ readonly source: number; readonly offset: number }> {
    const held = this.progressByKey.get(keyOf(group))?.held ?? []
    return held.filter(({ source, offset }) => !group.isClaimed(source, offset))
  }

  save(group: SharedGroup, feed: LogFeed<SharedGroup>): void {
    const key = keyOf(group)
    const sources = Array.from({ length: this.sourceCount }, (_, source) => source)
    const value = encodeGroupProgress(
      sources.map((source) => feed.safePosition(source)),
      sources.map((source) => group.held(source))
    )
    const saved = this.savedByKey.get(key)
    if (saved !== undefined && Buffer.compare(saved, value) === 0) return
    this.savedByKey.set(key, value)
    this.writer.append({ key, value })
  }

  /** Appends what has gathered in this tick. */
  flush(): void {
    this.writer.flush()
  }

  remove(group: SharedGroup): void {
    const key = keyOf(group)
    this.progressByKey.delete(key)
    this.savedByKey.delete(key)
    this.writer.append({ key, value: undefined })
  }
}

const encodeWrite = (builder: RecordBatchBuilder, write: Write): void => {
  builder.append(0, write.key, write.value)
}

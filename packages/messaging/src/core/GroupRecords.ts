/**
 * The records of durable shared groups in the compacted topic `__groups`. The newest record of a key counts; one without a value
 * removes it. Integers are zigzag varlongs; `string` is its length in bytes and its UTF-8.
 *
 * | key                        | value, version 2                                                                       |
 * | -------------------------- | -------------------------------------------------------------------------------------- |
 * | name 0 filter              | snapshot: version, generation, count, position of each source, holders, places          |
 * | name 0 filter 0 number     | hand-outs since: version, generation, holders, places                                   |
 *
 * holders: count, then of each: string clientId, incarnation.
 * places: count, then of each: source, offset, holder (0: nobody, else its place in holders from 1 on), [number of its hand-out].
 *
 * Hand-outs count where their generation is that of the snapshot before them: their numbers begin again with every snapshot.
 * The newest that is said of a place counts.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"

/** Who has begun to get a message at QoS 2: a session, and the number that this is of all that it was ever given so. */
export interface Holder {
  readonly clientId: string
  readonly incarnation: number
  readonly handOut: number
}

/** A message of the log as the group sees it: begun with a holder, or held by the group itself. */
export interface GroupPlace {
  readonly source: number
  readonly offset: number
  readonly holder: Holder | undefined
}

export interface GroupSnapshot {
  /** By source the next offset to look at. */
  readonly positions: ReadonlyArray<number>
  /** What was looked at and is not done, and what is begun though it has not been looked at. */
  readonly places: ReadonlyArray<GroupPlace>
}

export type GroupKey = { readonly group: string; readonly number: number | undefined }

const version = 2

export const placeKey = (source: number, offset: number): string => `${source}:${offset}`

export const snapshotKey = (name: string, filter: string): string => `${name}\u0000${filter}`

export const handOutsKey = (group: string, number: number): string => `${group}\u0000${number}`

/** Names and filters have no null character [MQTT-1.5.4-2], so a key can be taken apart. */
export const readGroupKey = (key: string): GroupKey => {
  const second = key.indexOf("\u0000", key.indexOf("\u0000") + 1)
  return second === -1
    ? { group: key, number: undefined }
    : { group: key.slice(0, second), number: Number(key.slice(second + 1)) }
}

export const encodeSnapshot = (generation: number, snapshot: GroupSnapshot): Buffer => {
  const writer = begin(generation)
  writer.varlong(snapshot.positions.length)
  for (const position of snapshot.positions) writer.varlong(position)
  putPlaces(writer, snapshot.places)
  return writer.copy()
}

export const encodeHandOuts = (generation: number, places: ReadonlyArray<GroupPlace>): Buffer => {
  const writer = begin(generation)
  putPlaces(writer, places)
  return writer.copy()
}

/** undefined where the version is not known. */
export const decodeSnapshot = (value: Uint8Array): (GroupSnapshot & { readonly generation: number }) | undefined => {
  const reader = new ByteReader(value)
  if (reader.varlong() !== version) return undefined
  const generation = reader.varlong()
  const positions = Array.from({ length: reader.varlong() }, () => reader.varlong())
  return { generation, positions, places: getPlaces(reader) }
}

/** undefined where the version is not known. */
export const decodeHandOuts = (
  value: Uint8Array
): { readonly generation: number; readonly places: ReadonlyArray<GroupPlace> } | undefined => {
  const reader = new ByteReader(value)
  if (reader.varlong() !== version) return undefined
  return { generation: reader.varlong(), places: getPlaces(reader) }
}

const begin = (generation: number): ByteWriter => {
  const writer = new ByteWriter({ sizeBytes: 256 })
  writer.varlong(version)
  writer.varlong(generation)
  return writer
}

const putPlaces = (writer: ByteWriter, places: ReadonlyArray<GroupPlace>): void => {
  const numbersByHolder = new Map<string, number>()
  const holders: Array<Holder> = []
  const numberOf = (holder: Holder): number => {
    const key = `${holder.incarnation} ${holder.clientId}`
    const known = numbersByHolder.get(key)
    if (known !== undefined) return known
    numbersByHolder.set(key, holders.push(holder))
    return holders.length
  }
  const numbers = places.map(({ holder }) => (holder === undefined ? 0 : numberOf(holder)))
  writer.varlong(holders.length)
  for (const { clientId, incarnation } of holders) {
    const bytes = Buffer.from(clientId, "utf8")
    writer.varlong(bytes.length)
    writer.bytes(bytes)
    writer.varlong(incarnation)
  }
  writer.varlong(places.length)
  places.forEach(({ source, offset, holder }, index) => {
    writer.varlong(source)
    writer.varlong(offset)
    writer.varlong(numbers[index] as number)
    if (holder !== undefined) writer.varlong(holder.handOut)
  })
}

const getPlaces = (reader: ByteReader): ReadonlyArray<GroupPlace> => {
  const holders = Array.from({ length: reader.varlong() }, () => ({
    clientId: reader.utf8(reader.varlong()),
    incarnation: reader.varlong()
  }))
  return Array.from({ length: reader.varlong() }, () => {
    const source = reader.varlong()
    const offset = reader.varlong()
    const holder = holders[reader.varlong() - 1]
    return { source, offset, holder: holder === undefined ? undefined : { ...holder, handOut: reader.varlong() } }
  })
}

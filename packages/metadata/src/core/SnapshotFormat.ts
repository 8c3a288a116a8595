/**
 * The metadata as bytes: what a Raft snapshot, a follower that is far behind, and a file made by `effectmq cluster snapshot` hold.
 *
 *     header line    {"_tag":"MetadataSnapshot","_version":1,"chain":<64 hex digits>,"index":<n>,"sequence":<n>}
 *     event lines    as in the log (schemas/metadata/MetadataCodec)
 *     last line      {"_tag":"SnapshotEnd","_version":1,"lines":<n of events>,"sha256":<64 hex digits>}
 *
 * Every line ends with a line feed. `index` is that of the last entry applied and `chain` the hash there; `sequence` is the version of
 * the image. `sha256` is over every byte before the last line. Chunks are cut anywhere.
 */
import { createHash } from "node:crypto"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import { stableJson } from "@effectmq/schemas/metadata/StableJson"
import * as Either from "effect/Either"
import { apply } from "./apply.js"
import { type ChainPoint, hashOfHex, hashToHex } from "./EntryChain.js"
import { emptyImage, type Image } from "./Image.js"
import { imageEvents } from "./imageToEvents.js"

export const snapshotVersion = 1

/** What a snapshot is of. */
export interface SnapshotContent {
  readonly image: Image
  readonly point: ChainPoint
}

/** Events written or read between two pauses. */
const eventsPerSlice = 256

/**
 * Writes a snapshot as chunks of at most `bytesMax`. Gives undefined where whoever asks for more may pause.
 */
export function* writeSnapshot(content: SnapshotContent, bytesMax: number): Generator<Uint8Array | undefined> {
  const digest = createHash("sha256")
  let parts: Array<Buffer> = []
  let bytes = 0
  let text = ""
  const flush = (): void => {
    const part = Buffer.from(text, "utf8")
    text = ""
    digest.update(part)
    parts.push(part)
    bytes += part.length
  }
  function* full(): Generator<Uint8Array> {
    flush()
    if (bytes < bytesMax) return
    const gathered = Buffer.concat(parts, bytes)
    let from = 0
    for (; gathered.length - from >= bytesMax; from += bytesMax) yield gathered.subarray(from, from + bytesMax)
    parts = [gathered.subarray(from)]
    bytes = gathered.length - from
  }

  const { index, hash } = content.point
  const sequence = content.image.version
  text = `${stableJson({ _tag: "MetadataSnapshot", _version: snapshotVersion, chain: hashToHex(hash), index, sequence })}\n`
  let lines = 0
  for (const event of imageEvents(content.image)) {
    text += `${metadataEventCodec.encode(event)}\n`
    if (++lines % eventsPerSlice === 0) {
      yield* full()
      yield undefined
    }
  }
  flush()
  text = `${endLine(lines, digest.copy().digest("hex"))}\n`
  yield* full()
  if (bytes > 0) yield Buffer.concat(parts, bytes)
}

interface Header {
  readonly point: ChainPoint
  readonly sequence: number
}

/** Reads a snapshot chunk by chunk. Once `problem` is set it reads no more. */
export class SnapshotReader {
  private header: Header | undefined
  private image = emptyImage
  private lines = 0
  private ended = false
  /** The beginning of a line that is not whole yet: put together once, when it is, however many chunks it takes. */
  private rest: Array<Uint8Array> = []
  private readonly digest = createHash("sha256")
  private problemFound: string | undefined

  get problem(): string | undefined {
    return this.problemFound
  }

  /** Pauses now and then. */
  *read(chunk: Uint8Array): Generator<undefined> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let from = 0
    let taken = 0
    while (this.problemFound === undefined) {
      const to = bytes.indexOf(10, from)
      if (to < 0) break
      const end = bytes.subarray(from, to + 1)
      this.line(this.rest.length === 0 ? end : Buffer.concat([...this.rest, end]))
      this.rest = []
      from = to + 1
      if (++taken % eventsPerSlice === 0) yield undefined
    }
    if (this.problemFound !== undefined) this.rest = []
    else if (from < bytes.length) this.rest.push(Buffer.from(bytes.subarray(from)))
  }

  /** After the last chunk: what it held, or in words why it cannot be used. */
  end(): Either.Either<SnapshotContent, string> {
    if (this.problemFound !== undefined) return Either.left(this.problemFound)
    if (this.header === undefined || !this.ended || this.rest.length > 0) return Either.left("it ends too early")
    // A snapshot without events is that of the empty image, and its version is nowhere else.
    return Either.right({ image: { ...this.image, version: this.header.sequence }, point: this.header.point })
  }

  private line(bytes: Buffer): void {
    if (this.ended) this.problemFound = "something follows its end"
    else if (this.header === undefined) this.first(bytes)
    else if (bytes.subarray(0, endPrefix.length).equals(endPrefix)) this.last(bytes)
    else this.event(bytes, this.header.sequence)
    if (!this.ended) this.digest.update(bytes)
  }

  private first(bytes: Buffer): void {
    const { _tag, _version, chain, index, sequence } = fieldsOf(bytes)
    const hash = hashOfHex(String(chain))
    if (_tag !== "MetadataSnapshot") this.problemFound = "it is no snapshot of metadata"
    else if (_version !== snapshotVersion) {
      this.problemFound = `its format is ${String(_version)}, this release knows ${snapshotVersion}: upgrade this node`
    } else if (hash === undefined || !isPlace(index) || !isPlace(sequence)) this.problemFound = "its first line is damaged"
    else this.header = { point: { index, hash }, sequence }
  }

  private event(bytes: Buffer, sequence: number): void {
    const decoded = metadataEventCodec.decode(bytes.toString("utf8", 0, bytes.length - 1))
    if (Either.isLeft(decoded)) {
      this.problemFound = decoded.left.message
      return
    }
    try {
      this.image = apply(this.image, decoded.right, sequence)
      this.lines++
    } catch (defect) {
      this.problemFound = `event ${this.lines + 1} cannot be: ${String(defect)}`
    }
  }

  private last(bytes: Buffer): void {
    const { lines } = fieldsOf(bytes)
    const ends = endLine(this.lines, this.digest.digest("hex"))
    if (lines !== this.lines) this.problemFound = `it holds ${this.lines} events and should hold ${String(lines)}`
    else if (bytes.toString("utf8", 0, bytes.length - 1) !== ends) this.problemFound = "it does not match its checksum"
    this.ended = true
  }
}

const endLine = (lines: number, sha256: string): string =>
  stableJson({ _tag: "SnapshotEnd", _version: snapshotVersion, lines, sha256 })

/** Stable JSON has its keys in order, so that the last line is known by how it begins. */
const endPrefix = Buffer.from('{"_tag":"SnapshotEnd"', "utf8")

const fieldsOf = (bytes: Buffer): Readonly<Record<string, unknown>> => {
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"))
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const isPlace = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

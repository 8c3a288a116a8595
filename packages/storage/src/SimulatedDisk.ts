/**
 * A disk in memory that behaves as badly as a real one may: the n-th call fails, writes come out short or torn, bits flip, and a crash
 * loses what was not synced.
 *
 * What a crash leaves: of a file, its synced content and any part of the later writes, in 512-byte sectors; of a directory, its
 * synced names and the first few of the later changes, since file systems journal those in order.
 */
import { basename, dirname } from "node:path"
import { DiskError, type DiskFile, type DiskService } from "./Disk.js"

const sectorBytes = 512
const trailLength = 1024

/**
 * - `error`: nothing is done. `partial`: half of a write is done, then the error. `short`: half of a write is done and so reported.
 * - `crash`: the machine stops before the call, `torn`: in the middle of it. Every later call fails.
 * - `flip`: one bit of what is written or read is turned. Calls that move no bytes are not affected.
 * - `forgotten`: a sync fails, and the system takes what it was to sync for synced: it is read until the power fails, and no later
 *   sync brings it to the device. Other calls are not affected.
 */
export type Fault =
  | { readonly kind: "error" | "partial"; readonly code: "EIO" | "ENOSPC" }
  | { readonly kind: "short" | "crash" | "torn" | "flip" | "forgotten" }

interface Content {
  bytes: Buffer
  sizeBytes: number
}

/** A write, or a truncation to `sizeBytes`. */
type Change = { readonly position: number; readonly bytes: Buffer } | { readonly sizeBytes: number }

interface Inode extends Content {
  readonly synced: Content
  unsynced: Array<Change>
}

interface NameChange {
  readonly removes?: string
  readonly adds?: { readonly name: string; readonly inode: Inode }
}

interface Directory {
  names: Map<string, Inode>
  synced: Map<string, Inode>
  unsynced: Array<NameChange>
}

interface OpenFile extends DiskFile {
  readonly inode: Inode
}

const changeNames = (names: Map<string, Inode>, { removes, adds }: NameChange): void => {
  if (removes !== undefined) names.delete(removes)
  if (adds !== undefined) names.set(adds.name, adds.inode)
}

const copyInto = (content: Content, bytes: Uint8Array, position: number): void => {
  const end = position + bytes.length
  if (end > content.bytes.length) {
    const grown = Buffer.alloc(Math.max(end, content.bytes.length * 2, 4096))
    content.bytes.copy(grown, 0, 0, content.sizeBytes)
    content.bytes = grown
  }
  content.bytes.set(bytes, position)
  content.sizeBytes = Math.max(content.sizeBytes, end)
}

/** What lies behind the size is always zero, so that a file may grow over it. */
const resize = (content: Content, sizeBytes: number): void => {
  if (sizeBytes < content.sizeBytes) content.bytes.fill(0, sizeBytes, content.sizeBytes)
  else copyInto(content, Buffer.alloc(sizeBytes - content.sizeBytes), content.sizeBytes)
  content.sizeBytes = sizeBytes
}

const doAgain = (content: Content, change: Change): void => {
  if ("bytes" in change) copyInto(content, change.bytes, change.position)
  else resize(content, change.sizeBytes)
}

const copyOf = ({ bytes, sizeBytes }: Content): Content => ({ bytes: Buffer.from(bytes.subarray(0, sizeBytes)), sizeBytes })

/** Content that is synced. */
const inodeWith = (content: Content): Inode => ({ ...copyOf(content), synced: copyOf(content), unsynced: [] })

/** The same, with what is not synced. */
const keptCopy = (inode: Inode): Inode => ({ ...copyOf(inode), synced: copyOf(inode.synced), unsynced: [...inode.unsynced] })

const emptyInode = (): Inode => inodeWith({ bytes: Buffer.alloc(0), sizeBytes: 0 })

const inodeOf = (file: DiskFile): Inode => (file as OpenFile).inode

export class SimulatedDisk implements DiskService {
  /** Calls so far that can fail. */
  calls = 0
  /** Files that are open now. */
  openFiles = 0
  /** The last calls, in turn; those that went wrong are kept. */
  #trail: Array<string> = []
  #brokenCalls = new Map<number, string>()
  #directories = new Map<string, Directory>()
  #locked = new Set<string>()
  #crashed = false
  #faultByCall = new Map<number, Fault>()
  /** While set, writes that make a file longer fail with ENOSPC. */
  full = false
  /** Called when a planned fault stops the machine. */
  whenStopped: () => void = () => undefined

  /** `random` gives numbers from 0 to 1; it decides what a crash leaves and which bit flips. */
  constructor(readonly random: () => number) {}

  /** Lets the n-th call from the beginning (1 is the first) go wrong. */
  failAt(call: number, fault: Fault): void {
    this.#faultByCall.set(call, fault)
  }

  /** Whether a fault is still to come. */
  get faultPlanned(): boolean {
    for (const call of this.#faultByCall.keys()) if (call > this.calls) return true
    return false
  }

  /** What the n-th call was: one of the last thousand, or one that was to go wrong. */
  callAt(call: number): string {
    const broken = this.#brokenCalls.get(call)
    if (broken !== undefined || call > this.calls || call <= this.calls - trailLength) return broken ?? "none"
    return this.#trail[call % trailLength] ?? "none"
  }

  get crashed(): boolean {
    return this.#crashed
  }

  /** Stops the machine: every call fails from now on, until `restarted` gives the disk it comes back with. */
  crash(): void {
    this.#crashed = true
  }

  /**
   * The disk after a power loss; or, with `unsynced: "kept"`, after the process alone died: the system still has what was not
   * synced, and a later power loss may take it.
   */
  restarted(unsynced: "lost" | "kept"): SimulatedDisk {
    const disk = new SimulatedDisk(this.random)
    const copies = new Map<Inode, Inode>()
    const copied = (inode: Inode): Inode => {
      const known = copies.get(inode)
      const copy = known ?? (unsynced === "kept" ? keptCopy(inode) : inodeWith(this.#afterPowerLoss(inode)))
      copies.set(inode, copy)
      return copy
    }
    const allCopied = (names: Map<string, Inode>) => new Map([...names].map(([name, inode]) => [name, copied(inode)]))
    for (const [path, directory] of this.#directories) {
      if (unsynced === "kept") {
        const changes = directory.unsynced.map(({ adds, ...change }) =>
          adds === undefined ? change : { ...change, adds: { ...adds, inode: copied(adds.inode) } }
        )
        disk.#directories.set(path, { names: allCopied(directory.names), synced: allCopied(directory.synced), unsynced: changes })
        continue
      }
      const names = new Map(directory.synced)
      const count = Math.floor(this.random() * (directory.unsynced.length + 1))
      for (const change of directory.unsynced.slice(0, count)) changeNames(names, change)
      const left = allCopied(names)
      disk.#directories.set(path, { names: left, synced: new Map(left), unsynced: [] })
    }
    return disk
  }

  #afterPowerLoss(inode: Inode): Content {
    const left = copyOf(inode.synced)
    for (const change of inode.unsynced) {
      const fate = this.random()
      if (fate < 0.3) continue
      if (fate < 0.6 || !("bytes" in change)) {
        doAgain(left, change)
        continue
      }
      const { bytes, position } = change
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + sectorBytes - ((position + at) % sectorBytes))
        if (this.random() < 0.5) copyInto(left, bytes.subarray(at, end), position + at)
        at = end
      }
    }
    return left
  }

  /** Turns one bit of a file at rest. */
  flipBit(path: string, bit: number): void {
    const inode = this.#find(path)
    for (const content of [inode, inode.synced]) {
      if (bit < content.sizeBytes * 8) content.bytes[bit >>> 3] ^= 1 << (bit & 7)
    }
  }

  /** The content of a file as the running system sees it. */
  content(path: string): Buffer {
    const inode = this.#find(path)
    return Buffer.from(inode.bytes.subarray(0, inode.sizeBytes))
  }

  // The port

  makeDirectory(path: string): void {
    this.#call("make", path)
    if (!this.#directories.has(path)) this.#directories.set(path, { names: new Map(), synced: new Map(), unsynced: [] })
  }

  list(directory: string): ReadonlyArray<string> {
    this.#call("list", directory)
    return [...this.#directory(directory).names.keys()]
  }

  open(path: string, mode: "read" | "write"): DiskFile {
    this.#call("open", path)
    const directory = this.#directory(dirname(path))
    let inode = directory.names.get(basename(path))
    if (inode === undefined) {
      if (mode === "read") throw new DiskError("ENOENT", `no file ${path}`)
      const made = emptyInode()
      inode = made
      this.#change(directory, { adds: { name: basename(path), inode: made } })
    }
    this.openFiles++
    const file: OpenFile = { path, inode }
    return file
  }

  close(_file: DiskFile): void {
    this.openFiles--
  }

  sizeBytes(file: DiskFile): number {
    return inodeOf(file).sizeBytes
  }

  writev(file: DiskFile, buffers: ReadonlyArray<Uint8Array>, position: number): number {
    return this.#write(file, Buffer.concat(buffers), position)
  }

  async write(file: DiskFile, buffer: Uint8Array, position: number): Promise<number> {
    const bytes = Buffer.from(buffer)
    await this.#later()
    return this.#write(file, bytes, position)
  }

  #write(file: DiskFile, bytes: Buffer, position: number): number {
    const inode = inodeOf(file)
    const half = bytes.subarray(0, bytes.length >>> 1)
    const put = (what: Buffer) => {
      copyInto(inode, what, position)
      inode.unsynced.push({ position, bytes: what })
      return what.length
    }
    const fault = this.#call("write", file.path, () => put(half))
    if (this.full && position + bytes.length > inode.sizeBytes) throw new DiskError("ENOSPC", `no space to write ${file.path}`)
    if (fault?.kind === "short" && half.length > 0) return put(half)
    return put(fault?.kind === "flip" ? this.#flipped(bytes) : bytes)
  }

  async read(file: DiskFile, target: Uint8Array, position: number): Promise<number> {
    await this.#later()
    return this.readNow(file, target, position)
  }

  async sync(file: DiskFile): Promise<void> {
    await this.#later()
    this.syncNow(file)
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#later()
    this.syncDirectoryNow(path)
  }

  // The same at once, for what knows no waiting

  readNow(file: DiskFile, target: Uint8Array, position: number): number {
    const fault = this.#call("read", file.path)
    const inode = inodeOf(file)
    const bytes = inode.bytes.subarray(position, Math.min(inode.sizeBytes, position + target.length))
    target.set(fault?.kind === "flip" ? this.#flipped(bytes) : bytes)
    return Math.max(0, bytes.length)
  }

  syncNow(file: DiskFile): void {
    const fault = this.#call("sync", file.path)
    const inode = inodeOf(file)
    const forgotten = fault?.kind === "forgotten"
    if (!forgotten) for (const change of inode.unsynced) doAgain(inode.synced, change)
    inode.unsynced = []
    if (forgotten) throw new DiskError("EIO", `sync ${file.path} was made to fail`)
  }

  truncateNow(file: DiskFile, sizeBytes: number): void {
    this.#call("truncate", file.path)
    const inode = inodeOf(file)
    resize(inode, sizeBytes)
    inode.unsynced.push({ sizeBytes })
  }

  syncDirectoryNow(path: string): void {
    this.#call("sync directory", path)
    const directory = this.#directory(path)
    directory.synced = new Map(directory.names)
    directory.unsynced = []
  }

  rename(from: string, to: string): void {
    this.#call("rename", from)
    const inode = this.#find(from)
    this.#change(this.#directory(dirname(to)), { removes: basename(from), adds: { name: basename(to), inode } })
  }

  unlink(path: string): void {
    this.#call("unlink", path)
    this.#find(path)
    this.#change(this.#directory(dirname(path)), { removes: basename(path) })
  }

  lock(directory: string): () => void {
    if (this.#locked.has(directory)) throw new DiskError("ELOCKED", `the directory ${directory} is in use`)
    this.#locked.add(directory)
    return () => void this.#locked.delete(directory)
  }

  // Faults

  #later(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Counts a call and lets it go wrong as planned; `half` does half of a write. */
  #call(what: string, path: string, half?: () => void): Fault | undefined {
    if (this.#crashed) throw new DiskError("EIO", "the machine has stopped")
    const fault = this.#faultByCall.get(++this.calls)
    this.#trail[this.calls % trailLength] = `${what} ${path}`
    if (fault === undefined) return undefined
    this.#brokenCalls.set(this.calls, `${what} ${path}`)
    if (fault.kind === "partial" || fault.kind === "torn") half?.()
    if (fault.kind === "crash" || fault.kind === "torn") {
      this.#crashed = true
      this.whenStopped()
      throw new DiskError("EIO", "the machine stops")
    }
    if (fault.kind === "error" || fault.kind === "partial") throw new DiskError(fault.code, `${what} ${path} was made to fail`)
    return fault
  }

  #flipped(bytes: Buffer): Buffer {
    const copy = Buffer.from(bytes)
    if (copy.length > 0) {
      const bit = Math.floor(this.random() * copy.length * 8)
      copy[bit >>> 3] ^= 1 << (bit & 7)
    }
    return copy
  }

  #directory(path: string): Directory {
    const directory = this.#directories.get(path)
    if (directory === undefined) throw new DiskError("ENOENT", `no directory ${path}`)
    return directory
  }

  #find(path: string): Inode {
    const inode = this.#directory(dirname(path)).names.get(basename(path))
    if (inode === undefined) throw new DiskError("ENOENT", `no file ${path}`)
    return inode
  }

  #change(directory: Directory, change: NameChange): void {
    changeNames(directory.names, change)
    directory.unsynced.push(change)
  }
}

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

/**
 * - `error`: nothing is done. `partial`: half of a write is done, then the error. `short`: half of a write is done and so reported.
 * - `crash`: the machine stops before the call, `torn`: in the middle of it. Every later call fails.
 * - `flip`: one bit of what is written or read is turned. Calls that move no bytes are not affected.
 */
export type Fault =
  | { readonly kind: "error" | "partial"; readonly code: "EIO" | "ENOSPC" }
  | { readonly kind: "short" | "crash" | "torn" | "flip" }

interface Inode {
  bytes: Buffer
  sizeBytes: number
  synced: Buffer
  unsynced: Array<{ readonly position: number; readonly bytes: Buffer }>
}

interface Directory {
  names: Map<string, Inode>
  synced: Map<string, Inode>
  unsynced: Array<(names: Map<string, Inode>) => void>
}

interface OpenFile extends DiskFile {
  readonly inode: Inode
}

const copyInto = (inode: Inode, bytes: Uint8Array, position: number): void => {
  const end = position + bytes.length
  if (end > inode.bytes.length) {
    const grown = Buffer.alloc(Math.max(end, inode.bytes.length * 2, 4096))
    inode.bytes.copy(grown, 0, 0, inode.sizeBytes)
    inode.bytes = grown
  }
  inode.bytes.set(bytes, position)
  inode.sizeBytes = Math.max(inode.sizeBytes, end)
}

const emptyInode = (): Inode => ({ bytes: Buffer.alloc(0), sizeBytes: 0, synced: Buffer.alloc(0), unsynced: [] })

const inodeOf = (file: DiskFile): Inode => (file as OpenFile).inode

export class SimulatedDisk implements DiskService {
  /** Calls so far that can fail. */
  calls = 0
  /** Files that are open now. */
  openFiles = 0
  #trail: Array<string> = []
  #directories = new Map<string, Directory>()
  #locked = new Set<string>()
  #crashed = false
  #faultByCall = new Map<number, Fault>()
  /** While set, writes that make a file longer fail with ENOSPC. */
  full = false

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

  /** What the n-th call was. */
  callAt(call: number): string {
    return this.#trail[call - 1] ?? "none"
  }

  get crashed(): boolean {
    return this.#crashed
  }

  /** Stops the machine: every call fails from now on, until `restarted` gives the disk it comes back with. */
  crash(): void {
    this.#crashed = true
  }

  /** The disk after a power loss (or, with `unsynced: "kept"`, after the process alone died). */
  restarted(unsynced: "lost" | "kept"): SimulatedDisk {
    const disk = new SimulatedDisk(this.random)
    const copies = new Map<Inode, Inode>()
    for (const [path, directory] of this.#directories) {
      const names = new Map(unsynced === "kept" ? directory.names : directory.synced)
      if (unsynced === "lost") {
        const count = Math.floor(this.random() * (directory.unsynced.length + 1))
        for (const change of directory.unsynced.slice(0, count)) change(names)
      }
      const kept = new Map<string, Inode>()
      for (const [name, inode] of names) {
        const copy = copies.get(inode) ?? (unsynced === "kept" ? this.#whole(inode) : this.#afterPowerLoss(inode))
        copies.set(inode, copy)
        kept.set(name, copy)
      }
      disk.#directories.set(path, { names: kept, synced: new Map(kept), unsynced: [] })
    }
    return disk
  }

  #whole(inode: Inode): Inode {
    const bytes = Buffer.from(inode.bytes.subarray(0, inode.sizeBytes))
    return { bytes, sizeBytes: bytes.length, synced: Buffer.from(bytes), unsynced: [] }
  }

  #afterPowerLoss(inode: Inode): Inode {
    const left: Inode = {
      bytes: Buffer.from(inode.synced),
      sizeBytes: inode.synced.length,
      synced: Buffer.alloc(0),
      unsynced: []
    }
    for (const { position, bytes } of inode.unsynced) {
      const fate = this.random()
      if (fate < 0.3) continue
      if (fate < 0.6) {
        copyInto(left, bytes, position)
        continue
      }
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + sectorBytes - ((position + at) % sectorBytes))
        if (this.random() < 0.5) copyInto(left, bytes.subarray(at, end), position + at)
        at = end
      }
    }
    return this.#whole(left)
  }

  /** Turns one bit of a file at rest. */
  flipBit(path: string, bit: number): void {
    const inode = this.#find(path)
    inode.bytes[bit >>> 3] ^= 1 << (bit & 7)
    inode.synced = Buffer.from(inode.bytes.subarray(0, inode.sizeBytes))
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
      this.#change(directory, (names) => names.set(basename(path), made))
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
      inode.unsynced.push({ position, bytes: Buffer.from(what) })
      return what.length
    }
    const fault = this.#call("write", file.path, () => put(half))
    if (this.full && position + bytes.length > inode.sizeBytes) throw new DiskError("ENOSPC", `no space to write ${file.path}`)
    if (fault?.kind === "short" && half.length > 0) return put(half)
    return put(fault?.kind === "flip" ? this.#flipped(bytes) : bytes)
  }

  async read(file: DiskFile, target: Uint8Array, position: number): Promise<number> {
    await this.#later()
    const fault = this.#call("read", file.path)
    const inode = inodeOf(file)
    const bytes = inode.bytes.subarray(position, Math.min(inode.sizeBytes, position + target.length))
    target.set(fault?.kind === "flip" ? this.#flipped(bytes) : bytes)
    return Math.max(0, bytes.length)
  }

  async sync(file: DiskFile): Promise<void> {
    await this.#later()
    this.#call("sync", file.path)
    const inode = inodeOf(file)
    inode.synced = Buffer.from(inode.bytes.subarray(0, inode.sizeBytes))
    inode.unsynced = []
  }

  rename(from: string, to: string): void {
    this.#call("rename", from)
    const inode = this.#find(from)
    this.#change(this.#directory(dirname(to)), (names) => {
      names.delete(basename(from))
      names.set(basename(to), inode)
    })
  }

  unlink(path: string): void {
    this.#call("unlink", path)
    this.#find(path)
    this.#change(this.#directory(dirname(path)), (names) => names.delete(basename(path)))
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#later()
    this.#call("sync directory", path)
    const directory = this.#directory(path)
    directory.synced = new Map(directory.names)
    directory.unsynced = []
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
    this.#trail.push(`${what} ${path}`)
    const fault = this.#faultByCall.get(++this.calls)
    if (fault === undefined) return undefined
    if (fault.kind === "partial" || fault.kind === "torn") half?.()
    if (fault.kind === "crash" || fault.kind === "torn") {
      this.#crashed = true
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

  #change(directory: Directory, change: (names: Map<string, Inode>) => void): void {
    change(directory.names)
    directory.unsynced.push(change)
  }
}

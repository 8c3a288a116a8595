/**
 * SQLite's port of the operating system (its "VFS") over simulated disks: what the engine reads, writes and syncs is a call of the
 * disk, which answers, fails, tears or forgets as it will. It does what SQLite's own one for Unix does, where that matters: it goes
 * on after short writes, and syncs the directory when a journal is synced for the first time.
 *
 * One serves all disks: the name of a database is `<number of the disk>/<path>`. Clock and randomness are those of the machine whose
 * statement runs. No method throws: an exception must not pass through the engine.
 */
import { dirname } from "node:path"
import { DiskError, type DiskFile, writevFully } from "@effectmq/storage/Disk"
import type { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { FileLocks } from "./FileLocks.js"
import { ioError, resultCode, type WasmModule } from "./WasmSqlite.js"

const openFlag = { deleteOnClose: 0x8, create: 0x4, mainJournal: 0x800, wal: 0x80000 } as const
const accessExists = 0
const powersafeOverwrite = 0x1000
const sectorBytes = 4096
const julianDayMsAt1970 = 210866760000000

/** A simulated machine as SQLite sees it. */
export interface Machine {
  readonly disk: SimulatedDisk
  /** From 0 to 1. */
  readonly random: () => number
  /** Since 1970. */
  readonly nowMs: () => number
}

/** Calls of the disk that statements made. */
export interface DiskWork {
  reads: number
  writes: number
  syncs: number
}

interface OpenFile {
  readonly disk: SimulatedDisk
  readonly file: DiskFile
  readonly locks: FileLocks
  readonly deleteOnClose: boolean
  /** A new journal whose name is not synced yet. */
  nameUnsynced: boolean
}

const codeOf = (error: unknown, otherwise: number): number =>
  error instanceof DiskError && error.code === "ENOSPC" ? resultCode.full : otherwise

export class DiskVfs {
  readonly name = "simulated"
  readonly mxPathname = 512
  readonly work: DiskWork = { reads: 0, writes: 0, syncs: 0 }
  private readonly mounts = new Map<number, Machine>()
  private readonly locksByDisk = new WeakMap<SimulatedDisk, Map<string, FileLocks>>()
  private readonly files = new Map<number, OpenFile>()
  private current: Machine | undefined
  private nextMount = 1

  constructor(private readonly wasm: WasmModule) {}

  /** Answers the number of the disk. */
  mount(machine: Machine): number {
    this.mounts.set(this.nextMount, machine)
    return this.nextMount++
  }

  unmount(mount: number): void {
    this.mounts.delete(mount)
  }

  /** Whose clock and randomness count from now on. */
  runOn(mount: number): void {
    this.current = this.mounts.get(mount)
  }

  /** Asked of every method that is called, by the module. */
  hasAsyncMethod(): boolean {
    return false
  }

  // Files by name

  xOpen(_vfs: number, name: number, file: number, flags: number, outFlags: number): number {
    if (name === 0) return resultCode.cantOpen
    const { disk, path } = this.placeOf(name)
    if (disk === undefined) return resultCode.cantOpen
    try {
      const creates = (flags & openFlag.create) !== 0
      const opened = disk.open(path, creates ? "write" : "read")
      this.files.set(file, {
        disk,
        file: opened,
        locks: this.locksOf(disk, path),
        deleteOnClose: (flags & openFlag.deleteOnClose) !== 0,
        nameUnsynced: creates && (flags & (openFlag.mainJournal | openFlag.wal)) !== 0
      })
      if (outFlags !== 0) this.setInt32(outFlags, flags)
      return resultCode.ok
    } catch {
      return resultCode.cantOpen
    }
  }

  xDelete(_vfs: number, name: number, syncDirectory: number): number {
    const { disk, path } = this.placeOf(name)
    if (disk === undefined) return ioError.delete
    try {
      disk.unlink(path)
    } catch (error) {
      return error instanceof DiskError && error.code === "ENOENT" ? ioError.deleteMissing : ioError.delete
    }
    if (syncDirectory === 0) return resultCode.ok
    try {
      disk.syncDirectoryNow(dirname(path))
      return resultCode.ok
    } catch {
      return ioError.directorySync
    }
  }

  /** An empty file counts as none where it is asked whether there is one. */
  xAccess(_vfs: number, name: number, flags: number, out: number): number {
    const { disk, path } = this.placeOf(name)
    if (disk === undefined) return ioError.access
    try {
      const file = disk.open(path, "read")
      this.setInt32(out, flags !== accessExists || disk.sizeBytes(file) > 0 ? 1 : 0)
      disk.close(file)
    } catch (error) {
      if (!(error instanceof DiskError && error.code === "ENOENT")) return ioError.access
      this.setInt32(out, 0)
    }
    return resultCode.ok
  }

  xFullPathname(_vfs: number, name: number, bytesMax: number, out: number): number {
    const heap = this.wasm.HEAPU8
    const end = heap.indexOf(0, name)
    if (end - name >= bytesMax) return resultCode.cantOpen
    heap.copyWithin(out, name, end + 1)
    return resultCode.ok
  }

  // Open files

  xClose(pointer: number): number {
    const open = this.files.get(pointer)
    if (open === undefined) return resultCode.ok
    this.files.delete(pointer)
    open.locks.lower(pointer, 0)
    open.disk.close(open.file)
    if (open.deleteOnClose) {
      try {
        open.disk.unlink(open.file.path)
      } catch {
        // As on Unix: it is only rubbish that stays.
      }
    }
    return resultCode.ok
  }

  xRead(pointer: number, target: number, bytes: number, low: number, high: number): number {
    const { disk, file } = this.openFile(pointer)
    const view = this.wasm.HEAPU8.subarray(target, target + bytes)
    this.work.reads++
    try {
      const count = disk.readNow(file, view, offsetOf(low, high))
      if (count === bytes) return resultCode.ok
      view.fill(0, count)
      return ioError.shortRead
    } catch {
      return ioError.read
    }
  }

  xWrite(pointer: number, source: number, bytes: number, low: number, high: number): number {
    const { disk, file } = this.openFile(pointer)
    this.work.writes++
    try {
      writevFully(disk, file, [this.wasm.HEAPU8.subarray(source, source + bytes)], offsetOf(low, high))
      return resultCode.ok
    } catch (error) {
      return codeOf(error, ioError.write)
    }
  }

  xTruncate(pointer: number, low: number, high: number): number {
    const { disk, file } = this.openFile(pointer)
    this.work.writes++
    try {
      disk.truncateNow(file, offsetOf(low, high))
      return resultCode.ok
    } catch {
      return ioError.truncate
    }
  }

  xSync(pointer: number): number {
    const open = this.openFile(pointer)
    this.work.syncs++
    try {
      open.disk.syncNow(open.file)
    } catch {
      return ioError.sync
    }
    if (open.nameUnsynced) {
      open.nameUnsynced = false
      try {
        open.disk.syncDirectoryNow(dirname(open.file.path))
      } catch {
        // On Unix SQLite does not mind either.
      }
    }
    return resultCode.ok
  }

  xFileSize(pointer: number, out: number): number {
    const { disk, file } = this.openFile(pointer)
    const size = disk.sizeBytes(file)
    this.setInt32(out, size | 0)
    this.setInt32(out + 4, Math.floor(size / 2 ** 32))
    return resultCode.ok
  }

  xLock(pointer: number, level: number): number {
    return this.openFile(pointer).locks.take(pointer, level) ? resultCode.ok : resultCode.busy
  }

  xUnlock(pointer: number, level: number): number {
    this.openFile(pointer).locks.lower(pointer, level)
    return resultCode.ok
  }

  xCheckReservedLock(pointer: number, out: number): number {
    this.setInt32(out, this.openFile(pointer).locks.isReserved() ? 1 : 0)
    return resultCode.ok
  }

  xFileControl(): number {
    return resultCode.notFound
  }

  xSectorSize(): number {
    return sectorBytes
  }

  xDeviceCharacteristics(): number {
    return powersafeOverwrite
  }

  // The machine

  xRandomness(_vfs: number, bytes: number, target: number): number {
    const { current, wasm } = this
    for (let at = 0; at < bytes; at++) wasm.HEAPU8[target + at] = current === undefined ? 0 : Math.floor(current.random() * 256)
    return bytes
  }

  xSleep(_vfs: number, microseconds: number): number {
    return microseconds
  }

  xCurrentTime(_vfs: number, out: number): number {
    this.wasm.HEAPF64[out >>> 3] = this.julianMs() / 86_400_000
    return resultCode.ok
  }

  xCurrentTimeInt64(_vfs: number, out: number): number {
    const ms = this.julianMs()
    this.setInt32(out, ms | 0)
    this.setInt32(out + 4, Math.floor(ms / 2 ** 32))
    return resultCode.ok
  }

  xGetLastError(): number {
    return resultCode.ok
  }

  private julianMs(): number {
    return julianDayMsAt1970 + Math.floor(this.current?.nowMs() ?? 0)
  }

  private openFile(pointer: number): OpenFile {
    const open = this.files.get(pointer)
    if (open === undefined) throw new Error("SQLite uses a file that is not open")
    return open
  }

  private placeOf(name: number): { readonly disk: SimulatedDisk | undefined; readonly path: string } {
    const text = this.wasm.UTF8ToString(name)
    const slash = text.indexOf("/")
    return { disk: this.mounts.get(Number(text.slice(0, slash)))?.disk, path: text.slice(slash) }
  }

  private locksOf(disk: SimulatedDisk, path: string): FileLocks {
    const locksByPath = this.locksByDisk.get(disk) ?? new Map<string, FileLocks>()
    this.locksByDisk.set(disk, locksByPath)
    const locks = locksByPath.get(path) ?? new FileLocks()
    locksByPath.set(path, locks)
    return locks
  }

  private setInt32(pointer: number, value: number): void {
    this.wasm.HEAP32[pointer >>> 2] = value
  }
}

const offsetOf = (low: number, high: number): number => high * 2 ** 32 + (low >>> 0)

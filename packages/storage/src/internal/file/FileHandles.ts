/**
 * The open files of segments, opened when first needed and closed when long unused, so that shards cost no descriptors.
 *
 * Invariant: a file is not closed between `acquire` and its `release`; beyond those in use at most `filesMax` are open.
 */
import type { DiskFile, DiskService } from "../../Disk.js"

interface Handle {
  readonly file: DiskFile
  users: number
  dropped: boolean
}

export class FileHandles {
  /** In order of last use, oldest first. */
  readonly #handleByPath = new Map<string, Handle>()

  constructor(
    readonly disk: DiskService,
    readonly filesMax: number
  ) {}

  /** Runs with the file open for reading and writing; it is made where it is not and `mode` is write. */
  async use<A>(path: string, mode: "read" | "write", run: (file: DiskFile) => Promise<A>): Promise<A> {
    let handle = this.#handleByPath.get(path)
    if (handle === undefined) {
      if (mode === "read") this.disk.close(this.disk.open(path, "read"))
      handle = { file: this.disk.open(path, "write"), users: 0, dropped: false }
    } else this.#handleByPath.delete(path)
    this.#handleByPath.set(path, handle)
    handle.users++
    this.#shrink()
    try {
      return await run(handle.file)
    } finally {
      handle.users--
      if (handle.dropped && handle.users === 0) this.disk.close(handle.file)
    }
  }

  #shrink(): void {
    if (this.#handleByPath.size <= this.filesMax) return
    for (const [path, handle] of this.#handleByPath) {
      if (handle.users > 0) continue
      this.#handleByPath.delete(path)
      this.disk.close(handle.file)
      if (this.#handleByPath.size <= this.filesMax) return
    }
  }

  /** Closes the file, now or when its last user is done. */
  drop(path: string): void {
    const handle = this.#handleByPath.get(path)
    if (handle === undefined) return
    this.#handleByPath.delete(path)
    handle.dropped = true
    if (handle.users === 0) this.disk.close(handle.file)
  }

  close(): void {
    for (const path of [...this.#handleByPath.keys()]) this.drop(path)
  }
}

/**
 * A small file system in memory, for what happens when a disk is full. Mounting one takes root; where that is not permitted the
 * suite that needs it says that it did not run.
 */
import { spawnSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const mount = (...args: ReadonlyArray<string>): boolean => spawnSync("mount", args).status === 0

export class SmallDisk {
  private constructor(readonly folder: string) {}

  /** Whether there can be one here; says so where the suite did not run for it. */
  static isPermitted(suite: string): boolean {
    const disk = SmallDisk.tryMount(1)
    disk?.unmount()
    if (disk === undefined) console.warn(`did not run: ${suite} needs to mount a file system, which is not permitted here`)
    return disk !== undefined
  }

  static mount(mebibytes: number): SmallDisk {
    const disk = SmallDisk.tryMount(mebibytes)
    if (disk === undefined) throw new Error("a small file system cannot be mounted")
    return disk
  }

  private static tryMount(mebibytes: number): SmallDisk | undefined {
    const folder = mkdtempSync(join(tmpdir(), "effectmq-full-"))
    if (mount("-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder)) return new SmallDisk(folder)
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }

  resize(mebibytes: number): void {
    if (!mount("-o", `remount,size=${mebibytes}m`, this.folder)) throw new Error(`${this.folder} cannot be resized`)
  }

  private get ballast(): string {
    return join(this.folder, "ballast")
  }

  /** Leaves not a byte for others; again, where something became free meanwhile. */
  fill(): void {
    const file = openSync(this.ballast, "a")
    for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 64)) {
      const block = Buffer.alloc(size, 1)
      try {
        while (writeSync(file, block) === size);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
      }
    }
    closeSync(file)
  }

  /** Takes back what `fill` took. */
  free(): void {
    rmSync(this.ballast, { force: true })
  }

  unmount(): void {
    spawnSync("umount", [this.folder])
    rmSync(this.folder, { recursive: true, force: true })
  }
}

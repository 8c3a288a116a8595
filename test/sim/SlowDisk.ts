/**
 * A simulated disk whose work takes a while, each call its own, and which stands still once the machine has stopped: nobody is
 * told of an error by a machine without power.
 */
import type { DiskFile, DiskService } from "@effectmq/storage/Disk"
import type { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import type { SeededRandom } from "@effectmq/testing/SeededRandom"

/** One of its own for each: a promise keeps whoever waits for it. */
const never = () => new Promise<never>(() => {})

export class SlowDisk implements DiskService {
  constructor(
    readonly disk: SimulatedDisk,
    private readonly host: { sleep(ms: number): Promise<void> },
    private readonly random: SeededRandom,
    /** Longest usual time of one call; now and then one takes twenty times as long. */
    private readonly latencyMaxMs: () => number
  ) {}

  makeDirectory(path: string): void {
    this.disk.makeDirectory(path)
  }

  list(directory: string): ReadonlyArray<string> {
    return this.disk.list(directory)
  }

  open(path: string, mode: "read" | "write"): DiskFile {
    return this.disk.open(path, mode)
  }

  close(file: DiskFile): void {
    this.disk.close(file)
  }

  sizeBytes(file: DiskFile): number {
    return this.disk.sizeBytes(file)
  }

  writev(file: DiskFile, buffers: ReadonlyArray<Uint8Array>, position: number): number {
    return this.disk.writev(file, buffers, position)
  }

  write(file: DiskFile, buffer: Uint8Array, position: number): Promise<number> {
    const bytes = Buffer.from(buffer)
    return this.later(() => this.disk.write(file, bytes, position))
  }

  read(file: DiskFile, target: Uint8Array, position: number): Promise<number> {
    return this.later(() => this.disk.read(file, target, position))
  }

  sync(file: DiskFile): Promise<void> {
    return this.later(() => this.disk.sync(file))
  }

  rename(from: string, to: string): void {
    this.disk.rename(from, to)
  }

  unlink(path: string): void {
    this.disk.unlink(path)
  }

  syncDirectory(path: string): Promise<void> {
    return this.later(() => this.disk.syncDirectory(path))
  }

  lock(directory: string): () => void {
    return this.disk.lock(directory)
  }

  private async later<A>(call: () => Promise<A>): Promise<A> {
    const { random } = this
    const latencyMaxMs = this.latencyMaxMs()
    if (latencyMaxMs > 0) await this.host.sleep(random.next() * latencyMaxMs * (random.chance(0.02) ? 20 : 1))
    try {
      return await call()
    } catch (error) {
      if (this.disk.crashed) return await never()
      throw error
    }
  }
}

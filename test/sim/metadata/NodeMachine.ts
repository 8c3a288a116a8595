/**
 * The machine that a simulated node runs on: its disk, which outlives its processes, and what goes wrong with it.
 */
import * as SqliteRaftStore from "@effectmq/raft/SqliteRaftStore"
import { Disk } from "@effectmq/storage/Disk"
import { type Fault, SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import type { SeededRandom } from "@effectmq/testing/SeededRandom"
import type { SimulatedSqlite } from "@effectmq/testing/SimulatedSqlite"
import type { VirtualProcess } from "@effectmq/testing/VirtualProcess"
import * as Effect from "effect/Effect"
import { SlowDisk } from "../SlowDisk.js"

const directory = "/data"
const filename = `${directory}/raft.sqlite`
const files = [filename, `${filename}-wal`, `${filename}-witness`]

export class NodeMachine {
  disk: SimulatedDisk
  latencyMsMax: number
  /** A bit was turned: the store may be refused from now on. */
  isDamaged = false
  /** A call was made to fail since the process was started. */
  isFaulty = false
  private isFull = false

  constructor(
    private readonly sqlite: SimulatedSqlite,
    private readonly random: SeededRandom,
    private readonly process: VirtualProcess,
    latencyMsMax: number,
    private readonly checkpointBytes: number,
    /** A fault stopped the machine in the middle of a call. */
    private readonly whenStopped: () => void
  ) {
    this.latencyMsMax = latencyMsMax
    this.disk = new SimulatedDisk(random.next)
    this.disk.makeDirectory(directory)
    this.disk.whenStopped = whenStopped
  }

  /** The store on it, for one start of its process. */
  get store() {
    const { disk, random, process } = this
    const latency = () => this.latencyMsMax
    const openSqlite = this.sqlite.openOn({
      disk,
      random: random.next,
      nowMs: () => process.wallMs(),
      latencyMs: ({ writes, syncs }) => {
        const longestMs = writes + syncs === 0 ? 0 : latency()
        return longestMs === 0 ? 0 : random.next() * longestMs * (random.chance(0.02) ? 20 : 1)
      },
      silentWhenStopped: true
    })
    const slow = new SlowDisk(disk, process, random, latency)
    return Effect.provideService(
      SqliteRaftStore.make({ filename, checkpointBytes: this.checkpointBytes }, openSqlite),
      Disk,
      slow
    )
  }

  get full(): boolean {
    return this.isFull
  }

  set full(full: boolean) {
    this.isFull = full
    this.disk.full = full
    if (full) this.isFaulty = true
  }

  /** Its process is gone; with the power goes what was not synced. */
  restart(unsynced: "kept" | "lost"): void {
    const { disk } = this
    disk.crash()
    this.disk = disk.restarted(unsynced)
    this.disk.whenStopped = this.whenStopped
    this.full = this.isFull
    this.isFaulty = this.isFull
  }

  /** Lets one of the next calls go wrong. */
  failSoon(fault: Fault, callsMax: number): void {
    if (fault.kind === "flip") this.isDamaged = true
    else this.isFaulty = true
    this.disk.failAt(this.disk.calls + this.random.int(1, callsMax), fault)
  }

  /** Turns one bit of what lies there; answers where, undefined where there is nothing. */
  flip(): string | undefined {
    const { disk, random } = this
    const path = random.pick(files)
    let bytes = 0
    try {
      bytes = disk.content(path).length
    } catch {
      return undefined
    }
    if (bytes === 0) return undefined
    this.isDamaged = true
    const bit = random.int(0, bytes * 8 - 1)
    disk.flipBit(path, bit)
    return `bit ${bit % 8} of byte ${bit >>> 3} of ${path}, of ${bytes}`
  }
}

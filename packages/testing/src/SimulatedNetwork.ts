/**
 * A network between simulated processes, as bad as one says, link by link and changing over time.
 *
 * A link goes one way. What it carries may be late, lost, doubled, out of order or cut off; it is never altered. What is under way
 * to a process that is killed is lost.
 */
import { SeededRandom } from "./SeededRandom.js"
import type { VirtualProcess } from "./VirtualProcess.js"
import type { VirtualWorld } from "./VirtualWorld.js"

export interface LinkQuality {
  readonly delayMsMin: number
  readonly delayMsMax: number
  readonly lossChance: number
  readonly duplicateChance: number
  /** How likely it is that one takes ten times as long. */
  readonly straggleChance: number
  /** Nothing overtakes what was sent before it. */
  readonly ordered: boolean
  /** What waits for its turn waits in line. */
  readonly bytesPerMs: number
}

export const goodLink: LinkQuality = {
  delayMsMin: 0.1,
  delayMsMax: 0.5,
  lossChance: 0,
  duplicateChance: 0,
  straggleChance: 0,
  ordered: true,
  bytesPerMs: Number.POSITIVE_INFINITY
}

const ignored = (): void => undefined

interface Link {
  quality: LinkQuality
  cut: boolean
  /** When the line is free again. */
  freeAtMs: number
  /** When the last one arrives, where they come in order. */
  lastAtMs: number
}

export class SimulatedNetwork {
  /** Of all links that were not given another one. */
  private quality: LinkQuality = goodLink
  private readonly links = new Map<string, Link>()
  private readonly random: SeededRandom
  /** Sent, lost and doubled so far. */
  readonly counts = { sent: 0, lost: 0, doubled: 0 }

  constructor(private readonly world: VirtualWorld) {
    this.random = new SeededRandom(world.seed, 2)
  }

  /** Of every link, those that had one of their own included. */
  setQuality(quality: LinkQuality): void {
    this.quality = quality
    for (const link of this.links.values()) link.quality = quality
  }

  setLinkQuality(from: VirtualProcess, to: VirtualProcess, quality: LinkQuality): void {
    this.link(from, to).quality = quality
  }

  /** One way: nothing arrives from now on, not even what is under way. */
  cut(from: VirtualProcess, to: VirtualProcess): void {
    this.link(from, to).cut = true
  }

  /** Cuts whatever lies between the two sides, both ways. */
  partition(side: ReadonlyArray<VirtualProcess>, other: ReadonlyArray<VirtualProcess>): void {
    for (const a of side) {
      for (const b of other) {
        this.cut(a, b)
        this.cut(b, a)
      }
    }
  }

  /** Mends all cuts; qualities stay. */
  heal(): void {
    for (const link of this.links.values()) link.cut = false
  }

  isCut(from: VirtualProcess, to: VirtualProcess): boolean {
    return this.link(from, to).cut
  }

  /** `arrive` runs in the process `to`, in a turn of its own: never, once or twice. */
  send(from: VirtualProcess, to: VirtualProcess, bytes: number, arrive: () => void): void {
    if (from.alive) this.transmit(from, to, bytes, arrive)
  }

  /** The same for the system that the process `from` runs on, which outlives it; `lost` is called where it knows that it was lost. */
  transmit(from: VirtualProcess, to: VirtualProcess, bytes: number, arrive: () => void, lost: () => void = ignored): void {
    const { random, counts } = this
    const link = this.link(from, to)
    const { quality } = link
    counts.sent++
    if (link.cut || (quality.lossChance > 0 && random.chance(quality.lossChance))) {
      counts.lost++
      return lost()
    }
    this.carry(link, to, bytes, arrive, lost)
    if (quality.duplicateChance > 0 && random.chance(quality.duplicateChance)) {
      counts.doubled++
      this.carry(link, to, bytes, arrive, ignored)
    }
  }

  private carry(link: Link, to: VirtualProcess, bytes: number, arrive: () => void, lost: () => void): void {
    const { random, world } = this
    const { quality } = link
    const { nowMs } = world
    let departsMs = nowMs
    if (quality.bytesPerMs !== Number.POSITIVE_INFINITY) {
      departsMs = Math.max(nowMs, link.freeAtMs) + bytes / quality.bytesPerMs
      link.freeAtMs = departsMs
    }
    const straggles = quality.straggleChance > 0 && random.chance(quality.straggleChance)
    const drawnMs = quality.delayMsMin + random.next() * (quality.delayMsMax - quality.delayMsMin)
    let arrivesMs = departsMs + (straggles ? 10 * drawnMs : drawnMs)
    if (quality.ordered) {
      arrivesMs = Math.max(arrivesMs, link.lastAtMs)
      link.lastAtMs = arrivesMs
    }
    to.post(() => {
      if (!link.cut) return arrive()
      this.counts.lost++
      lost()
    }, arrivesMs - nowMs)
  }

  private link(from: VirtualProcess, to: VirtualProcess): Link {
    const key = `${from.index} ${to.index}`
    let link = this.links.get(key)
    if (link === undefined) {
      link = { quality: this.quality, cut: false, freeAtMs: 0, lastAtMs: 0 }
      this.links.set(key, link)
    }
    return link
  }
}

/**
 * The links that others made to this node, from the accept on: bounded while they have not proven themselves, and in all.
 *
 * Invariant: whoever is quick gets in, however many others only hold the door: with one handshake too many, the one that takes
 * longest is ended.
 */
import type { FramedLink } from "./FramedLink.js"

export class LinkAdmission {
  /** By age. */
  private readonly shaking = new Set<FramedLink>()
  readonly open = new Set<FramedLink>()

  constructor(
    private readonly handshakesMax: number,
    private readonly linksMax: number
  ) {}

  arrived(link: FramedLink): void {
    this.shaking.add(link)
    if (this.shaking.size <= this.handshakesMax) return
    for (const oldest of this.shaking) {
      this.shaking.delete(oldest)
      oldest.abort("others came before its handshake was done")
      return
    }
  }

  /** Why one more is not let in. */
  full(): string | undefined {
    return this.open.size < this.linksMax ? undefined : `it has ${this.linksMax} links of other nodes already`
  }

  proven(link: FramedLink): void {
    this.shaking.delete(link)
    this.open.add(link)
  }

  gone(link: FramedLink): void {
    this.shaking.delete(link)
    this.open.delete(link)
  }

  all(): ReadonlyArray<FramedLink> {
    return [...this.shaking, ...this.open]
  }
}

/**
 * Numbers that look random and repeat exactly with their seed: xoshiro128**, seeded by splitmix32.
 */
const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

export class SeededRandom {
  private a: number
  private b: number
  private c: number
  private d: number

  /** `stream` tells apart generators of one seed that must not influence each other. */
  constructor(seed: number, stream = 0) {
    let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) | 0
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0
      let mixed = state ^ (state >>> 16)
      mixed = Math.imul(mixed, 0x21f0aaad)
      mixed ^= mixed >>> 15
      mixed = Math.imul(mixed, 0x735a2d97)
      return mixed ^ (mixed >>> 15)
    }
    this.a = next()
    this.b = next()
    this.c = next()
    this.d = next() | 1
  }

  /** From 0 up to but not 1. A field, so that it can be handed out. */
  readonly next = (): number => {
    const result = Math.imul(rotate(Math.imul(this.b, 5), 7), 9) >>> 0
    const shifted = this.b << 9
    this.c ^= this.a
    this.d ^= this.b
    this.b ^= this.c
    this.a ^= this.d
    this.c ^= shifted
    this.d = rotate(this.d, 11)
    return result / 0x100000000
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  /** True with the probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** One of them, each as likely as the other. */
  pick<T>(among: ReadonlyArray<T>): T {
    if (among.length === 0) throw new Error("nothing to pick from")
    return among[Math.floor(this.next() * among.length)] as T
  }

  /** One of them, as likely as its weight says. */
  weighted<T>(among: ReadonlyArray<readonly [weight: number, value: T]>): T {
    let left = this.next() * among.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, value] of among) {
      left -= weight
      if (left < 0) return value
    }
    return (among[among.length - 1] as readonly [number, T])[1]
  }
}

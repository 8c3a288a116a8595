/**
 * Who is banned: names by look-up, addresses and patterns by comparison. One table per tenant.
 *
 * Bounded by who fills it. A ban whose time has passed holds no more, whether or not it is still here.
 */
import type { BanKind } from "@effectmq/schemas/metadata/Ban"
import { type AddressBlock, blockHolds, parseAddress, parseAddressBlock } from "./Address.js"

export interface BanSubject {
  /** undefined for an anonymous client, or before it is known. */
  readonly user: string | undefined
  /** undefined before the client has said it. */
  readonly clientId: string | undefined
  readonly address: string
}

export interface BanEntry {
  readonly kind: BanKind
  readonly value: string
  readonly reason: string
  /** Wall-clock ms; absent: for ever. */
  readonly untilMs?: number | undefined
}

/** Whether the text is what the pattern says: `*`*` any characters, `?` one character. At most the product of the lengths. */
export const matchesPattern = (pattern: string, text: string): boolean => {
  let p = 0
  let t = 0
  let star = -1
  let starText = 0
  while (t < text.length) {
    const char = pattern[p]
    if (char === "*") {
      star = p++
      starText = t
    } else if (char !== undefined && (char === "?" || char === text[t])) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++starText
    } else return false
  }
  while (pattern[p] === "*") p++
  return p === pattern.length
}

const holds = (ban: BanEntry, nowMs: number): boolean => ban.untilMs === undefined || nowMs < ban.untilMs

const addressKey = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

interface BlockBan {
  readonly block: AddressBlock
  readonly ban: BanEntry
}

export class BanTable {
  private readonly byUser = new Map<string, BanEntry>()
  private readonly byClientId = new Map<string, BanEntry>()
  private readonly byPattern = new Map<string, BanEntry>()
  /** By value as written; a single address is also found by its bytes. */
  private readonly blocksByValue = new Map<string, BlockBan>()
  private readonly valuesByAddress = new Map<string, Set<string>>()
  private readonly wideBlocks = new Map<string, BlockBan>()

  get size(): number {
    return this.byUser.size + this.byClientId.size + this.byPattern.size + this.blocksByValue.size
  }

  /** Adds a ban or replaces the one of its kind and value. A value of kind `address` that is no address bans nobody. */
  put(ban: BanEntry): void {
    this.delete(ban.kind, ban.value)
    if (ban.kind !== "address") {
      this.mapOf(ban.kind).set(ban.value, ban)
      return
    }
    const block = parseAddressBlock(ban.value)
    if (block === undefined) return
    const entry = { block, ban }
    this.blocksByValue.set(ban.value, entry)
    if (block.prefixBits < block.bytes.length * 8) {
      this.wideBlocks.set(ban.value, entry)
      return
    }
    const key = addressKey(block.bytes)
    const values = this.valuesByAddress.get(key) ?? new Set()
    this.valuesByAddress.set(key, values.add(ban.value))
  }

  delete(kind: BanKind, value: string): void {
    if (kind !== "address") {
      this.mapOf(kind).delete(value)
      return
    }
    const entry = this.blocksByValue.get(value)
    if (entry === undefined) return
    this.blocksByValue.delete(value)
    this.wideBlocks.delete(value)
    const key = addressKey(entry.block.bytes)
    const values = this.valuesByAddress.get(key)
    values?.delete(value)
    if (values?.size === 0) this.valuesByAddress.delete(key)
  }

  /** Forgets bans whose time has passed. */
  prune(nowMs: number): void {
    for (const ban of this.all()) if (!holds(ban, nowMs)) this.delete(ban.kind, ban.value)
  }

  /** A ban that holds for the subject now; undefined where there is none. */
  find(subject: BanSubject, nowMs: number): BanEntry | undefined {
    const { clientId, user } = subject
    const byUser = user === undefined ? undefined : this.byUser.get(user)
    if (byUser !== undefined && holds(byUser, nowMs)) return byUser
    if (clientId !== undefined) {
      const byClient = this.byClientId.get(clientId)
      if (byClient !== undefined && holds(byClient, nowMs)) return byClient
      for (const ban of this.byPattern.values()) if (holds(ban, nowMs) && matchesPattern(ban.value, clientId)) return ban
    }
    return this.blocksByValue.size === 0 ? undefined : this.findByAddress(subject.address, nowMs)
  }

  private findByAddress(text: string, nowMs: number): BanEntry | undefined {
    const address = parseAddress(text)
    if (address === undefined) return undefined
    for (const value of this.valuesByAddress.get(addressKey(address)) ?? []) {
      const ban = this.blocksByValue.get(value)?.ban
      if (ban !== undefined && holds(ban, nowMs)) return ban
    }
    for (const { ban, block } of this.wideBlocks.values()) if (holds(ban, nowMs) && blockHolds(block, address)) return ban
    return undefined
  }

  private all(): ReadonlyArray<BanEntry> {
    const blocks = [...this.blocksByValue.values()].map(({ ban }) => ban)
    return [...this.byUser.values(), ...this.byClientId.values(), ...this.byPattern.values(), ...blocks]
  }

  private mapOf(kind: Exclude<BanKind, "address">): Map<string, BanEntry> {
    switch (kind) {
      case "user":
        return this.byUser
      case "clientId":
        return this.byClientId
      case "pattern":
        return this.byPattern
    }
  }
}

/**
 * Says whether a client that connects is banned: by the bans in metadata, and by those this node made itself a moment ago.
 *
 * Synchronous, from memory: it stands before anything is done for a connection. A ban of this node (`banHere`) holds at once, until
 * its end or until the metadata say something of that client id: from then on they alone count, so that whoever lifts the ban there
 * lifts it here. The table of them is bounded, and the oldest makes room.
 */
import type { Ban } from "@effectmq/schemas/metadata/Ban"
import { Metadata } from "@effectmq/metadata/Metadata"
import { Meters } from "@effectmq/metrics/Meters"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Audit } from "./Audit.js"
import { type BanEntry, type BanSubject, BanTable } from "./core/BanTable.js"

export interface BanQuestion extends BanSubject {
  readonly tenant: string
}

/** A ban of one client id by this node, always with an end. */
export interface BanHere {
  readonly tenant: string
  readonly clientId: string
  readonly reason: string
  readonly untilMs: number
}

export interface BansService {
  /** The ban that holds for the subject now, recorded in the audit; undefined: it may go on. */
  banned(subject: BanQuestion, nowMs: number): BanEntry | undefined
  /** Bans a client id on this node, at once, until the metadata have a ban of it. */
  banHere(ban: BanHere): void
}

export class Bans extends Context.Tag("@effectmq/security/Bans")<Bans, BansService>() {}

export interface BansOptions {
  /** Bans that this node may have made itself; default 10,000. */
  readonly bansHereMax?: number
}

const bansHereMaxDefault = 10_000

/** Bans by (tenant, client id), bounded, oldest first. */
class OwnBans {
  private readonly banByClient = new Map<string, BanHere>()

  constructor(private readonly entriesMax: number) {}

  put(ban: BanHere): void {
    const key = `${ban.tenant}/${ban.clientId}`
    this.banByClient.delete(key)
    const oldest = this.banByClient.keys().next()
    if (this.banByClient.size >= this.entriesMax && oldest.done === false) this.banByClient.delete(oldest.value)
    this.banByClient.set(key, ban)
  }

  delete(tenant: string, clientId: string): void {
    this.banByClient.delete(`${tenant}/${clientId}`)
  }

  find(tenant: string, clientId: string, nowMs: number): BanHere | undefined {
    if (this.banByClient.size === 0) return undefined
    const key = `${tenant}/${clientId}`
    const ban = this.banByClient.get(key)
    if (ban === undefined || nowMs < ban.untilMs) return ban
    this.banByClient.delete(key)
    return undefined
  }
}

const make = (options: BansOptions) =>
  Effect.gen(function* () {
    const metadata = yield* Metadata
    const audit = yield* Audit
    const meters = yield* Meters
    const refused = meters.counter("effectmq_banned_connections_total", "Connections refused because of a ban.")
    const tablesByTenant = new Map<string, BanTable>()
    const own = new OwnBans(options.bansHereMax ?? bansHereMaxDefault)

    const put = (ban: Ban) => {
      if (ban.kind === "clientId") own.delete(ban.tenant, ban.value)
      const table = tablesByTenant.get(ban.tenant) ?? new BanTable()
      tablesByTenant.set(ban.tenant, table)
      table.put(ban)
    }
    const remove = (ban: Ban) => {
      const table = tablesByTenant.get(ban.tenant)
      table?.delete(ban.kind, ban.value)
      if (table?.size === 0) tablesByTenant.delete(ban.tenant)
    }

    yield* Effect.acquireRelease(
      Effect.sync(() => {
        for (const ban of metadata.image().bansByKey.values()) put(ban)
        return metadata.onChange(({ bans }) => {
          for (const ban of bans.removed.values()) remove(ban)
          for (const ban of bans.added.values()) put(ban)
          for (const { after } of bans.changed.values()) put(after)
        })
      }),
      (stopListening) => Effect.sync(stopListening)
    )

    const find = (subject: BanQuestion, nowMs: number): BanEntry | undefined => {
      const { clientId, tenant } = subject
      const ownBan = clientId === undefined ? undefined : own.find(tenant, clientId, nowMs)
      if (ownBan === undefined) return tablesByTenant.get(tenant)?.find(subject, nowMs)
      return { kind: "clientId", value: ownBan.clientId, reason: ownBan.reason, untilMs: ownBan.untilMs }
    }

    const service: BansService = {
      banned: (subject, nowMs) => {
        const ban = find(subject, nowMs)
        if (ban === undefined) return undefined
        refused.value += 1
        audit.record({
          kind: "refused-banned",
          subject: { tenant: subject.tenant, user: subject.user, clientId: subject.clientId ?? "", address: subject.address },
          ban: `${ban.kind} ${ban.value}`,
          reason: ban.reason
        })
        return ban
      },
      banHere: (ban) => own.put(ban)
    }
    return service
  })

export const layer = (options: BansOptions = {}): Layer.Layer<Bans, never, Metadata | Audit | Meters> =>
  Layer.scoped(Bans, make(options))

/** Nobody is banned, for compositions without metadata. */
export const layerNone: Layer.Layer<Bans> = Layer.succeed(Bans, { banned: () => undefined, banHere: () => {} })

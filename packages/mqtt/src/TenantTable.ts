/**
 * The tenants that are open on this node: space, sessions and timers of each. A tenant is opened, and its sessions are restored,
 * at the start of the server or when its first client comes.
 */
import type { MessagingService } from "@effectmq/messaging/Messaging"
import { Slices } from "@effectmq/messaging/core/Slices"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import { sameData } from "@effectmq/schemas/config/Live"
import { fixed, type TenantQuotasService } from "@effectmq/security/TenantQuotas"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { noClientEvents } from "./core/ClientEvents.js"
import type { TenantSessions } from "./core/ConnectionContext.js"
import type { MqttOptions } from "./core/MqttOptions.js"
import type { Session } from "./core/Session.js"
import { SessionCounters, type SessionContext } from "./core/SessionPorts.js"
import { SlowSubscribers } from "./features/SlowSubscribers.js"
import { SysTopics } from "./features/SysTopics.js"
import { SessionRegistry } from "./SessionRegistry.js"
import { restoreSessions } from "./SessionRestore.js"
import type { SessionStoreService, TenantSessionStore } from "./SessionStore.js"

export interface OpenTenant extends TenantSessions {
  readonly tenant: string
  readonly counters: SessionCounters
  readonly slow: SlowSubscribers
  /** Other options from now on. */
  configure(options: MqttOptions): void
  readonly sys: SysTopics
  readonly store: TenantSessionStore
}

/** How long the last progress may take to be written at stop. */
const saveTimeout = "5 seconds"

export interface TenantClocks {
  /** The calendar's, ms since 1970. */
  readonly nowMs: () => number
  /** One that nobody sets, ms since whenever. */
  readonly uptimeMs: () => number
}

export class TenantTable {
  private readonly tenantsByName = new Map<string, OpenTenant>()
  private readonly openingByName = new Map<string, Deferred.Deferred<OpenTenant, StorageError>>()
  private readonly startedMs: number

  private constructor(
    private readonly messaging: MessagingService,
    private readonly sessions: SessionStoreService,
    private options: MqttOptions,
    private readonly clocks: TenantClocks,
    private readonly quotas: TenantQuotasService
  ) {
    this.startedMs = clocks.uptimeMs()
  }

  static make(
    messaging: MessagingService,
    sessions: SessionStoreService,
    options: MqttOptions,
    clocks: TenantClocks,
    quotas: TenantQuotasService = fixed(options.tenantRate)
  ): Effect.Effect<TenantTable> {
    return Effect.sync(() => new TenantTable(messaging, sessions, options, clocks, quotas))
  }

  get(tenant: string): OpenTenant | undefined {
    return this.tenantsByName.get(tenant)
  }

  values(): IterableIterator<OpenTenant> {
    return this.tenantsByName.values()
  }

  /** The tenant, opened on first use. */
  open(tenant: string): Effect.Effect<OpenTenant, StorageError> {
    return Effect.suspend(() => {
      const opened = this.tenantsByName.get(tenant)
      if (opened !== undefined) return Effect.succeed(opened)
      const opening = this.openingByName.get(tenant)
      if (opening !== undefined) return Deferred.await(opening)
      const made = Deferred.unsafeMake<OpenTenant, StorageError>(FiberId.none)
      this.openingByName.set(tenant, made)
      // Others wait for it: it goes on when the client that was first has gone.
      return this.make(tenant).pipe(
        Effect.onExit((exit) => {
          this.openingByName.delete(tenant)
          return Deferred.done(made, exit)
        }),
        Effect.uninterruptible
      )
    })
  }

  /** Other options from now on, for tenants that are open and for those to come. */
  configure(options: MqttOptions): void {
    this.options = options
    for (const tenant of this.tenantsByName.values()) tenant.configure(options)
  }

  /** Lets deadlines come that have. */
  advance(nowMs: number): void {
    for (const { registry } of this.tenantsByName.values()) registry.advance(nowMs)
  }

  /** Writes progress that nothing waits for. */
  save(): void {
    for (const { store, space } of this.tenantsByName.values()) store.save(space.log)
  }

  /** Writes everything there is to know of every persistent session, and waits for it. */
  readonly saveAll: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.tenantsByName.values(),
      ({ registry, store, space }) =>
        Effect.async<void>((resume) => {
          for (const session of registry.values()) if (session.durable) store.progressMoved(session)
          store.save(space.log, () => resume(Effect.void))
        }),
      { discard: true }
    )
  ).pipe(
    // It runs as the scope ends, where nothing is interrupted by itself.
    Effect.interruptible,
    Effect.timeoutOption(saveTimeout),
    Effect.flatMap((saved) => (saved._tag === "None" ? Effect.logWarning("sessions could not be saved in time") : Effect.void))
  )

  private make(tenant: string): Effect.Effect<OpenTenant, StorageError> {
    return Effect.gen(this, function* () {
      const space: TenantSpace = yield* this.messaging.space(tenant)
      const opened = yield* this.sessions.open(tenant)
      const { options, clocks } = this
      const { nowMs } = clocks
      const slow = new SlowSubscribers(options.slowSubscribers)
      const context: SessionContext & { options: MqttOptions } = {
        space,
        journal: opened.store,
        options,
        counters: new SessionCounters(),
        slices: new Slices((task) => space.time.afterTick(task)),
        exclusiveByFilter: new Map<string, Session>(),
        nowMs,
        observeLatency: (session, topic, latencyMs) => {
          if (latencyMs <= slow.thresholdMs) return
          // What waited for the client to come back was not slow before it did.
          const now = nowMs()
          slow.observe(session.clientId, topic, Math.min(latencyMs, now - session.connectedAtMs), now)
        },
        deadline: (session, now) => registry.deadline(session, now)
      }
      const registry: SessionRegistry = new SessionRegistry(context)
      space.log.hold(opened.store)
      yield* restoreSessions(context, registry, opened)
      const { nodeName, softwareVersion: version } = options
      const sys = new SysTopics(space, { nodeName, version, uptimeMs: () => clocks.uptimeMs() - this.startedMs }, nowMs)
      const tellEvents = ({ sysIntervalMs }: MqttOptions) => {
        registry.events = sysIntervalMs === 0 ? noClientEvents : sys
        if (sysIntervalMs === 0) sys.clear()
      }
      const rate = this.quotas.rate(tenant)
      const quota = () => this.quotas.quota(tenant)
      const made: OpenTenant = {
        tenant,
        space,
        registry,
        rate,
        quota,
        counters: context.counters,
        slow,
        sys,
        store: opened.store,
        configure: (now) => {
          const before = context.options
          context.options = now
          slow.configure(now.slowSubscribers)
          tellEvents(now)
          if (sameData([before.clientRate, before.tenantRate], [now.clientRate, now.tenantRate])) return
          for (const session of registry.values()) session.client?.followRate()
        }
      }
      tellEvents(options)
      this.tenantsByName.set(tenant, made)
      // They may have changed while it was restored.
      if (this.options !== options) made.configure(this.options)
      return made
    })
  }
}

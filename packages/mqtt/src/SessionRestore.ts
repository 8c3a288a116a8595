/**
 * Rebuilds the persistent sessions of a tenant at start, from what `SessionStore` holds and the log.
 *
 * The order matters: sessions and their subscriptions first; then the messages that were in flight; then the log's QoS 2
 * origins since the checkpoint; then shared groups and delayed messages go on, and timers begin.
 */
import type { Message } from "@effectmq/messaging/Message"
import { delayedPrefix } from "@effectmq/messaging/Delayed"
import type { SharedGroup } from "@effectmq/messaging/SharedGroup"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import { parseFilter } from "@effectmq/messaging/core/TopicFilter"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import { Delivery, handOutGate, notStored, retainedSource } from "./core/Delivery.js"
import { Session, type SubscribeTarget } from "./core/Session.js"
import type { SessionContext } from "./core/SessionPorts.js"
import { readOrigin, readWillOrigin, type StoredDelivery, type StoredSubscription } from "./core/SessionRecords.js"
import type { SessionRegistry } from "./SessionRegistry.js"
import type { LoadedSession, OpenedSessions } from "./SessionStore.js"

interface Wanted {
  readonly source: number
  readonly offset: number
  /** Of a retained message. */
  readonly topic: string
  message: Message | undefined
}

const noLimits = { lengthMax: Number.POSITIVE_INFINITY, levelsMax: Number.POSITIVE_INFINITY }
const readBytesMax = 1024 * 1024

export const restoreSessions = (
  context: SessionContext,
  registry: SessionRegistry,
  opened: OpenedSessions
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const { space } = context
    const wanted: Array<Wanted> = []
    const finishers: Array<() => void> = []
    const unwritten: Array<() => void> = []
    for (const [clientId, loaded] of opened.sessionsByClientId) {
      const session = makeSession(context, clientId, loaded)
      registry.restored(session)
      const places = (loaded.progress?.inflight ?? []).map((stored) => ({ stored, place: placeOf(stored, wanted) }))
      if (places.length > 0) finishers.push(() => restoreInflight(space, session, places, unwritten))
    }
    yield* fetchAll(space, wanted)
    for (const finish of finishers) finish()

    /** What the broker has taken over by its origin, in the log or to be published later, counts as received. */
    const willsByOrigin = new Map(opened.willsByOrigin)
    const fold = (origin: string) => {
      const will = readWillOrigin(origin)
      if (will !== undefined) {
        registry.passIncarnation(will.incarnation)
        if (willsByOrigin.delete(origin)) context.journal.willChanged(will.clientId, origin, undefined)
        registry.willPublished(will)
      }
      const found = readOrigin(origin)
      if (found === undefined) return
      registry.passIncarnation(found.incarnation)
      const session = registry.get(found.clientId)
      if (session === undefined || session.incarnation !== found.incarnation) return
      session.inbound.fold(found.packetId, found.use)
      session.progressMoved()
    }
    const fired = new Set<string>()
    yield* space.log.originsSince(opened.store.checkpointPositions, ({ origin }) => {
      if (origin.startsWith(delayedPrefix)) {
        fired.add(origin)
        fold(origin.slice(delayedPrefix.length))
      } else {
        fold(origin)
      }
    })
    for (const id of space.delayed.ids()) fold(id.slice(delayedPrefix.length))
    for (const session of registry.values()) if (session.inboundCount > 0) session.inbound.settle()
    space.restored(fired, (holder) => {
      const session = registry.get(holder.clientId)
      return session?.incarnation !== holder.incarnation || holder.handOut < session.nextHandOut
    })
    for (const write of unwritten) write()
    registry.resumeWills(willsByOrigin)
    registry.begin()
  })

const makeSession = (context: SessionContext, clientId: string, loaded: LoadedSession): Session => {
  const { header } = loaded
  if (header === undefined) throw new Error(`session ${clientId} has no header`)
  const { version, incarnation, createdAtMs } = header
  const session = new Session({ clientId, version, incarnation, createdAtMs, durable: true }, context)
  const subscriptions = new Map<SubscribeTarget, StoredSubscription>()
  for (const [text, stored] of loaded.subscriptionsByFilter) {
    const parsed = parseFilter(text, noLimits)
    if (typeof parsed === "string") continue
    subscriptions.set(
      { text, filter: stored.filter ?? parsed.filter, group: parsed.kind === "shared" ? parsed.group : undefined },
      stored
    )
  }
  session.restore(header, subscriptions, loaded.progress)
  return session
}

const placeOf = (stored: StoredDelivery, wanted: Array<Wanted>): Wanted | undefined => {
  if (stored.source === notStored) return undefined
  const { source, offset, topic } = stored
  const place: Wanted = { source, offset, topic, message: undefined }
  wanted.push(place)
  return place
}

/** Reads the messages at all places, each stretch of the log once. */
const fetchAll = (space: TenantSpace, wanted: ReadonlyArray<Wanted>): Effect.Effect<void, StorageError> => {
  const bySource = new Map<number, Array<Wanted>>()
  for (const place of wanted) {
    if (place.source >= space.log.sourceCount) continue
    const places = bySource.get(place.source) ?? []
    bySource.set(place.source, places)
    places.push(place)
  }
  return Effect.forEach(
    bySource,
    ([source, places]) =>
      source === retainedSource
        ? fetchRetained(space, places)
        : fetchFrom(
            space,
            source,
            places.sort((a, b) => a.offset - b.offset),
            0
          ),
    { discard: true }
  )
}

const fetchRetained = (space: TenantSpace, places: ReadonlyArray<Wanted>): Effect.Effect<void, StorageError> =>
  Effect.forEach(
    places,
    (place) =>
      Effect.map(space.retained.fetch(place.topic, place.offset), (message) => {
        place.message = message
      }),
    { discard: true }
  )

const fetchFrom = (space: TenantSpace, source: number, places: ReadonlyArray<Wanted>, first: number): Effect.Effect<void> => {
  const place = places[first]
  if (place === undefined) return Effect.void
  // Nothing is dispatched there: it was never durable.
  if (place.offset >= space.log.dispatched(source)) return Effect.void
  return Effect.flatMap(
    Effect.async<number>((resume) => {
      space.log.read(
        source,
        place.offset,
        readBytesMax,
        () => true,
        (entries, nextOffset) => {
          const messagesByOffset = new Map(entries.map(({ offset, message }) => [offset, message]))
          let index = first
          for (; index < places.length; index++) {
            const at = places[index] as Wanted
            if (at.offset >= nextOffset) break
            at.message = messagesByOffset.get(at.offset)
          }
          resume(Effect.succeed(Math.max(index, first + 1)))
        }
      )
    }),
    (next) => fetchFrom(space, source, places, next)
  )
}

const restoreInflight = (
  space: TenantSpace,
  session: Session,
  places: ReadonlyArray<{ readonly stored: StoredDelivery; readonly place: Wanted | undefined }>,
  unwritten: Array<() => void>
): void => {
  const deliveries: Array<Delivery> = []
  for (const { stored, place } of places) {
    const { source, offset, qos, groupFilter, handOut } = stored
    const message = place?.message
    // QoS 1 of a shared group goes to whoever of it is there; QoS 2 stays with whom it was begun [MQTT-4.8.2-4].
    if (groupFilter !== undefined && qos === 1) continue
    if (message === undefined && qos === 1) continue
    const group = groupOf(space, groupFilter)
    const holder = { clientId: session.clientId, incarnation: session.incarnation, handOut }
    const claim = group === undefined ? "known" : space.claim(group, source, offset, holder)
    // It had not been sent when its session ended, which the crash undid; another member has it.
    if (claim === "another's") continue
    const delivery = new Delivery(message, qos, stored.retain, stored.subscriptionIds, group, source, offset)
    delivery.packetId = stored.packetId
    delivery.handOut = handOut
    if (stored.released || message === undefined) {
      // Of a message that is gone the client must let go too: it may take the next one under the identifier for the same.
      delivery.state = "released"
      delivery.dup = true
    } else if (claim === "unknown") {
      // It waited for its group to know of it, so it has never been sent.
      delivery.state = "gated"
      delivery.awaits = handOutGate
      unwritten.push(() => session.outbound.handOut(delivery))
    } else {
      delivery.state = "unsent"
      delivery.dup = true
    }
    deliveries.push(delivery)
  }
  session.outbound.restore(deliveries)
}

const groupOf = (space: TenantSpace, groupFilter: string | undefined): SharedGroup | undefined => {
  const parsed = groupFilter === undefined ? undefined : parseFilter(groupFilter, noLimits)
  return parsed === undefined || typeof parsed === "string" || parsed.kind !== "shared"
    ? undefined
    : space.group(parsed.filter, parsed.group)
}

/**
 * Bans clients that connect again and again.
 *
 * The client is banned on this node at once, and in the metadata, so for the whole cluster, as soon as that can be written. What
 * waits to be written is bounded; a ban that found no room or could not be written still holds on this node.
 */
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { Meters } from "@effectmq/metrics/Meters"
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { Audit } from "./Audit.js"
import { type BanHere, Bans } from "./Bans.js"
import { type FlappingLimits, FlappingTable } from "./core/FlappingTable.js"

export interface FlappingDetectorOptions {
  /** Whether anybody is watched; default true. */
  readonly enabled?: boolean
  /** Connects of one client within the window that are still let be; at least 1. */
  readonly connectsMax: number
  readonly windowSeconds: number
  readonly banSeconds: number
  /** Clients that are watched at once; default 20,000. */
  readonly clientsMax?: number
}

export interface FlappingDetectorService {
  /** Counts a connect of the client; true where that was one too many: it is banned from now on. */
  connected(tenant: string, clientId: string, nowMs: number): boolean
}

export class FlappingDetector extends Context.Tag("@effectmq/security/FlappingDetector")<
  FlappingDetector,
  FlappingDetectorService
>() {}

const clientsMaxDefault = 20_000
const waitingMax = 1000
const reason = "connected too often"

export const layer = (
  given: Options<FlappingDetectorOptions>
): Layer.Layer<FlappingDetector, never, Bans | Controller | Audit | Meters> =>
  Layer.scoped(
    FlappingDetector,
    Effect.gen(function* () {
      const options = liveOf(given)
      const bans = yield* Bans
      const controller = yield* Controller
      const audit = yield* Audit
      const meters = yield* Meters
      const flapping = meters.counter("effectmq_flapping_clients_total", "Clients banned because they connected too often.")
      const limitsOf = ({ clientsMax, connectsMax, windowSeconds }: FlappingDetectorOptions): FlappingLimits => ({
        connectsMax,
        windowMs: windowSeconds * 1000,
        clientsMax: clientsMax ?? clientsMaxDefault
      })
      const table = new FlappingTable(limitsOf(options.current))
      const stop = options.onChange((now) => {
        table.limits = limitsOf(now)
        // What was counted before it was turned off says nothing of what comes after it is turned on.
        if (now.enabled === false) table.clear()
      })
      yield* Effect.addFinalizer(() => Effect.sync(stop))
      const waiting = yield* Queue.dropping<BanHere>(waitingMax)

      const write = (ban: BanHere) =>
        Effect.gen(function* () {
          const stamped = yield* stamp
          yield* controller.submit({
            _tag: "PutBan",
            ...stamped,
            tenant: ban.tenant,
            kind: "clientId",
            value: ban.clientId,
            reason: ban.reason,
            by: "flapping",
            untilMs: ban.untilMs
          })
        }).pipe(Effect.catchAll((error) => Effect.logWarning("a ban holds on this node only", error)))

      yield* Queue.take(waiting).pipe(Effect.flatMap(write), Effect.forever, Effect.forkScoped)

      return {
        connected: (tenant, clientId, nowMs) => {
          if (options.current.enabled === false || !table.connected(`${tenant}/${clientId}`, nowMs)) return false
          const ban = { tenant, clientId, reason, untilMs: nowMs + options.current.banSeconds * 1000 }
          bans.banHere(ban)
          waiting.unsafeOffer(ban)
          flapping.value += 1
          audit.record({ kind: "ban-made", tenant, ban: `clientId ${clientId}`, reason, untilMs: ban.untilMs })
          return true
        }
      }
    })
  )

/** Bans nobody. */
export const layerOff: Layer.Layer<FlappingDetector> = Layer.succeed(FlappingDetector, { connected: () => false })

/**
 * What every node does after its start: makes the cluster where there is none, and registers. It goes on until it is done, since a
 * node may start while no majority is there.
 */
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { defaultTenant } from "@effectmq/schemas/Ids"
import type { Node } from "@effectmq/schemas/metadata/Node"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type ControllerService, randomId, stamp } from "../Controller.js"
import type { MetadataService } from "../Metadata.js"
import type { Place } from "./Place.js"

export interface RegistrationParts {
  readonly metadata: MetadataService
  readonly controller: ControllerService
  readonly node: Omit<Node, "registeredAtMs">
  /** Of a cluster that is made now. */
  readonly clusterId?: string | undefined
  /** Makes the cluster where there is none. */
  readonly makesCluster: boolean
  /** Whether this node, which takes no part now, may be taken in again. */
  readonly mayReturn?: () => boolean
  /** Called with what has to happen first; undefined once it has. */
  readonly waitsFor?: (what: string | undefined) => void
}

const noCluster = new MetadataUnavailable({ reason: "no-leader", message: "the cluster is not made yet" })
const againMs = 200
const tellMs = 5_000

type Stamp = Effect.Effect.Success<typeof stamp>

const once = (
  { metadata, controller, node, clusterId, makesCluster }: RegistrationParts,
  stamped: Stamp
): Effect.Effect<void, MetadataError> =>
  Effect.gen(function* () {
    const image = yield* metadata.sync
    if (image.cluster === undefined) {
      if (!makesCluster) return yield* Effect.fail(noCluster)
      const create = { _tag: "CreateCluster", ...(yield* stamp), clusterId: clusterId ?? randomId() } as const
      // Nodes that start together race, one of them makes it.
      yield* Effect.catchTag(controller.submit(create), "ClusterExists", () => Effect.void)
    }
    if (!image.tenantsById.has(defaultTenant)) {
      const create = { _tag: "CreateTenant", ...(yield* stamp), tenant: defaultTenant, quota: {} } as const
      yield* Effect.catchTag(controller.submit(create), "TenantExists", () => Effect.void)
    }
    yield* controller.submit({ _tag: "RegisterNode", ...stamped, ...node })
  })

/** It may have been carried out: tried again as the same command, it is carried out once. */
const isUnknown = (outcome: Either.Either<void, MetadataError>): boolean =>
  Either.isLeft(outcome) &&
  outcome.left._tag === "MetadataUnavailable" &&
  (outcome.left.reason === "unknown" || outcome.left.reason === "timeout")

/** Completes `registered` when the node is registered, or refused for good. */
export const register = (parts: RegistrationParts, registered: Deferred.Deferred<void, MetadataError>): Effect.Effect<void> =>
  Effect.gen(function* () {
    let kept: Stamp | undefined
    for (let waitedMs = 0; ; waitedMs += againMs) {
      const stamped: Stamp = kept ?? (yield* stamp)
      const outcome = yield* Effect.either(once(parts, stamped))
      const isOut = parts.mayReturn?.() === true
      // Who takes a node out takes it off the list: what it was registered with is over.
      if (isOut) kept = undefined
      else if (isUnknown(outcome)) kept = stamped
      const isFinal =
        outcome._tag === "Right" ||
        outcome.left._tag !== "MetadataUnavailable" ||
        (outcome.left.reason === "fenced" && !isOut) ||
        outcome.left.reason === "closed"
      if (isFinal) {
        parts.waitsFor?.(undefined)
        return yield* Deferred.complete(registered, outcome)
      }
      parts.waitsFor?.(`${isOut ? "a place in the cluster" : "its registration with the cluster"}: ${outcome.left.message}`)
      if (waitedMs % tellMs === 0 && waitedMs > 0 && !isOut) {
        yield* Effect.logInfo(`this node is not registered with the cluster yet: ${outcome.left.message}`)
      }
      yield* Effect.sleep(againMs)
    }
  }).pipe(Effect.asVoid)

/** A node that knows its cluster may serve what it knows after this time, although it could not register. */
const graceMs = 2_000
/** Who others are led by is heard of in this time, or its own going is. */
const doubtMsMax = 10_000

/** `place`: of a member. One that was taken out does not begin to serve, nor one that may have been, as long as that can be found out. */
export const usable = (
  metadata: MetadataService,
  registered: Deferred.Deferred<void, MetadataError>,
  place?: Pick<Place, "reason" | "mayBeOut">
): Effect.Effect<void, MetadataError> =>
  Effect.suspend(() => {
    const { cluster, tenantsById } = metadata.image()
    if (cluster === undefined || !tenantsById.has(defaultTenant)) return Deferred.await(registered)
    const isHeldBack = (waitedMs: number) =>
      place !== undefined && (place.reason !== undefined || (place.mayBeOut && waitedMs < doubtMsMax))
    const grace = Effect.gen(function* () {
      for (let waitedMs = 0; waitedMs < graceMs || isHeldBack(waitedMs); waitedMs += againMs) yield* Effect.sleep(againMs)
      yield* Effect.logWarning(
        "no majority of the cluster's nodes could be reached yet: this node serves what it knows, which may be old"
      )
    })
    return Effect.raceFirst(Deferred.await(registered), grace)
  })

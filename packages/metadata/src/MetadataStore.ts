/**
 * `Metadata` and `Controller` of a cluster of one node, over an event store.
 *
 * At its first start it makes the cluster and the tenant `default`; at every start it registers the node.
 */
import { randomBytes } from "node:crypto"
import * as Coordinator from "@effectmq/eventsource/Coordinator"
import type { EventStore } from "@effectmq/eventsource/EventStore"
import type { EventStoreError, ReplayFailed } from "@effectmq/eventsource/EventStoreError"
import * as MemoryEventStore from "@effectmq/eventsource/MemoryEventStore"
import { type MetadataError, MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import { defaultTenant } from "@effectmq/schemas/Ids"
import type { MetadataCommand, ReplyOf } from "@effectmq/schemas/metadata/MetadataCommand"
import { metadataEventCodec } from "@effectmq/schemas/metadata/MetadataCodec"
import type { Node } from "@effectmq/schemas/metadata/Node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Controller, type ControllerService, stamp } from "./Controller.js"
import { type Delta, deltaOf } from "./core/Delta.js"
import { emptyImage, type Image } from "./core/Image.js"
import { metadataDecider } from "./core/metadataDecider.js"
import { touchedKeys } from "./core/touchedKeys.js"
import { Metadata, type MetadataService } from "./Metadata.js"

export interface MetadataStoreOptions {
  readonly node: Omit<Node, "registeredAtMs">
  /** Of a cluster that is made now; random where it is absent. A cluster that exists keeps its id. */
  readonly clusterId?: string | undefined
  readonly coordinator?: Partial<Coordinator.CoordinatorOptions> | undefined
}

/** The store is damaged, of another release, or does not take the first commands. */
export type MetadataStartError = EventStoreError | ReplayFailed | MetadataError

type MetadataCoordinator = Effect.Effect.Success<ReturnType<typeof makeCoordinator>>

const makeCoordinator = (options: Partial<Coordinator.CoordinatorOptions>) =>
  Coordinator.make(metadataDecider, metadataEventCodec, { ...Coordinator.defaultOptions, ...options })

const makeController = (coordinator: MetadataCoordinator): ControllerService => ({
  submit: <C extends MetadataCommand>(command: C): Effect.Effect<ReplyOf<C["_tag"]>, MetadataError> =>
    coordinator.submit(command).pipe(
      Effect.catchTag("CoordinatorUnavailable", ({ reason, message }) =>
        Effect.fail(new MetadataUnavailable({ reason, message }))
      ),
      // The decider answers every tag with its own reply (core/Outcome).
      Effect.map((reply) => reply as ReplyOf<C["_tag"]>)
    )
})

const makeMetadata = (coordinator: MetadataCoordinator): MetadataService => {
  const listeners = new Set<(delta: Delta) => void>()
  coordinator.onChange(({ before, after, events }) => {
    if (listeners.size === 0) return
    const delta = deltaOf(before, after, touchedKeys(events))
    const problems: Array<unknown> = []
    for (const listener of listeners) {
      try {
        listener(delta)
      } catch (problem) {
        problems.push(problem)
      }
    }
    if (problems.length > 0) throw new AggregateError(problems, "a listener of metadata threw")
  })
  return {
    image: coordinator.state,
    changes: Stream.mapAccum(coordinator.states, emptyImage, (before: Image, after: Image) => [after, deltaOf(before, after)]),
    onChange: (listener) => {
      // A wrapper of its own, so that a listener registered twice is called twice and stopped once.
      const entry = (delta: Delta) => listener(delta)
      listeners.add(entry)
      return () => {
        listeners.delete(entry)
      }
    }
  }
}

const begin = (image: Image, controller: ControllerService, options: MetadataStoreOptions) =>
  Effect.gen(function* () {
    if (image.cluster === undefined) {
      const clusterId = options.clusterId ?? randomBytes(16).toString("base64url")
      yield* controller.submit({ _tag: "CreateCluster", ...(yield* stamp), clusterId })
    }
    if (!image.tenantsById.has(defaultTenant)) {
      yield* controller.submit({ _tag: "CreateTenant", ...(yield* stamp), tenant: defaultTenant, quota: {} })
    }
    yield* controller.submit({ _tag: "RegisterNode", ...(yield* stamp), ...options.node })
  })

export const make = (
  options: MetadataStoreOptions
): Effect.Effect<
  { readonly metadata: MetadataService; readonly controller: ControllerService },
  MetadataStartError,
  EventStore | Scope.Scope
> =>
  Effect.gen(function* () {
    const coordinator = yield* makeCoordinator(options.coordinator ?? {})
    const controller = makeController(coordinator)
    yield* begin(coordinator.state(), controller, options)
    return { metadata: makeMetadata(coordinator), controller }
  })

export const layer = (options: MetadataStoreOptions): Layer.Layer<Metadata | Controller, MetadataStartError, EventStore> =>
  Layer.scopedContext(
    Effect.map(make(options), ({ metadata, controller }) =>
      Context.make(Metadata, metadata).pipe(Context.add(Controller, controller))
    )
  )

const nodeInMemory: MetadataStoreOptions = {
  node: { nodeId: 1, name: "node-1", version: "0.1.0", addresses: [], roles: ["meta", "broker"] }
}

/** In memory, gone with the Layer. Only options of one's own can make it fail. */
export const layerMemory = (options: MetadataStoreOptions = nodeInMemory): Layer.Layer<Metadata | Controller> =>
  Layer.orDie(Layer.provide(layer(options), MemoryEventStore.layer))

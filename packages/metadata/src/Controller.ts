/**
 * The port through which the cluster's metadata is changed. Adapters: `MetadataStore.layer`, `MetadataStore.layerMemory`.
 */
import { randomUUID } from "node:crypto"
import type { MetadataError } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand, ReplyOf } from "@effectmq/schemas/metadata/MetadataCommand"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export interface ControllerService {
  /**
   * Answers when the change is durable and `Metadata.image()` of this node shows it. A command sent again with its id gets
   * the first one's reply and changes nothing.
   */
  submit<C extends MetadataCommand>(command: C): Effect.Effect<ReplyOf<C["_tag"]>, MetadataError>
}

export class Controller extends Context.Tag("@effectmq/metadata/Controller")<Controller, ControllerService>() {}

/** What every command carries: spread it into a new command. Keep the command for retries, do not stamp it again. */
export const stamp: Effect.Effect<{ readonly commandId: string; readonly atMs: number }> = Effect.map(
  Clock.currentTimeMillis,
  (atMs) => ({ commandId: randomUUID(), atMs })
)

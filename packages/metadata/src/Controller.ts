/**
 * The port through which the cluster's metadata is changed. Adapters: `MetadataStore.layer`, `MetadataStore.layerMemory`.
 */
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

/** 128 bits as text; from `Math.random`, so that a simulated node draws its ids from its seed. */
export const randomId = (): string => {
  let id = ""
  for (let at = 0; at < 4; at++) {
    id += Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
  }
  return id
}

/** What every command carries: spread it into a new command. Keep the command for retries, do not stamp it again. */
export const stamp: Effect.Effect<{ readonly commandId: string; readonly atMs: number }> = Effect.map(
  Clock.currentTimeMillis,
  (atMs) => ({ commandId: `${atMs.toString(36)}-${randomId()}`, atMs })
)

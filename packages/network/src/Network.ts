/**
 * The port of listening: who is given this can be served by sockets or by memory.
 */
import type { Meters } from "@effectmq/metrics/Meters"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import type { ConnectionAcceptor } from "./Connection.js"
import type { ConnectionLimits } from "./ConnectionLimits.js"
import { type BoundListener, listen } from "./Listener.js"
import type { ListenError } from "./ListenError.js"
import type { ListenOptions } from "./ListenOptions.js"

export interface NetworkService {
  /** Listens until the scope closes; then takes no more connections, tells the handlers and waits for them, see `Listener`. */
  listen(options: ListenOptions, acceptor: ConnectionAcceptor): Effect.Effect<BoundListener, ListenError, Scope>
}

export class Network extends Context.Tag("@effectmq/network/Network")<Network, NetworkService>() {}

/** Sockets of this host. */
export const layer: Layer.Layer<Network, never, ConnectionLimits | Meters> = Layer.effect(
  Network,
  Effect.gen(function* () {
    const context = yield* Effect.context<ConnectionLimits | Meters>()
    return {
      listen: (options, acceptor) =>
        Effect.mapInputContext(listen(options, acceptor), (scope: Context.Context<Scope>) => Context.merge(context, scope))
    }
  })
)

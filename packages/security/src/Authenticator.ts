/**
 * The port that says who a client is. Adapters: `UsersAuthenticator.layer` (users in metadata),
 * `UsersAuthenticator.layerAnonymous`.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

export interface Credentials {
  readonly tenant: string
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  /** Common name of a verified client certificate. */
  readonly certificateCommonName: string | undefined
  readonly address: string
}

/** Who a client turned out to be. */
export interface Principal {
  readonly tenant: string
  /** undefined for an anonymous client. */
  readonly user: string | undefined
  readonly superuser: boolean
}

/** `bad-credentials`: unknown user or wrong password (never told apart). `not-authorized`: known, and not let in. */
export class AuthenticationFailed extends Data.TaggedError("AuthenticationFailed")<{
  readonly reason: "bad-credentials" | "not-authorized" | "unavailable" | "bad-method"
  readonly message: string
}> {}

/** One challenge-response conversation [MQTT5 4.12]; ends in a principal. */
export interface AuthenticationExchange {
  /** The next message of the client; answers with data for the client, and with the principal when it is the last. */
  step(
    data: Uint8Array
  ): Effect.Effect<{ readonly data: Uint8Array | undefined; readonly principal: Principal | undefined }, AuthenticationFailed>
}

export interface AuthenticatorService {
  authenticate(credentials: Credentials): Effect.Effect<Principal, AuthenticationFailed>
  /** Begins enhanced authentication; fails with `bad-method` for a method it does not know. */
  exchange(method: string, credentials: Credentials): Effect.Effect<AuthenticationExchange, AuthenticationFailed>
  /** True where nobody has configured any authentication: the broker then listens on loopback only. */
  readonly open: () => boolean
}

export class Authenticator extends Context.Tag("@effectmq/security/Authenticator")<Authenticator, AuthenticatorService>() {}

/**
 * Who is nobody in particular is let in from this machine only, unless `auth.allowAnonymous` says otherwise. The listeners obey
 * the same rule when they bind; this holds it also after the last user was deleted while the broker ran.
 */
import { AuthenticationFailed, Authenticator } from "@effectmq/security/Authenticator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isLoopback } from "./Loopback.js"

export const layer: Layer.Layer<Authenticator, never, Authenticator> = Layer.effect(
  Authenticator,
  Effect.map(Authenticator, (inner) => ({
    ...inner,
    authenticate: (credentials) =>
      Effect.filterOrFail(
        inner.authenticate(credentials),
        (principal) => principal.user !== undefined || isLoopback(credentials.address),
        () =>
          new AuthenticationFailed({ reason: "not-authorized", message: "without a user name only from the broker's machine" })
      )
  }))
)

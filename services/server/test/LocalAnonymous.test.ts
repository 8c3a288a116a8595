import { Authenticator } from "@effectmq/security/Authenticator"
import type { Credentials } from "@effectmq/security/Authenticator"
import * as UsersAuthenticator from "@effectmq/security/UsersAuthenticator"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LocalAnonymous from "../src/LocalAnonymous.js"

const from = (address: string): Credentials => ({
  tenant: "default",
  clientId: "c",
  username: undefined,
  password: undefined,
  certificateCommonName: undefined,
  address
})

const guarded = Layer.provide(LocalAnonymous.layer, UsersAuthenticator.layerAnonymous)

it.effect("who is nobody in particular comes in from this machine only", () =>
  Effect.gen(function* () {
    const authenticator = yield* Authenticator
    expect((yield* authenticator.authenticate(from("127.0.0.1"))).user).toBeUndefined()
    const refused = yield* Effect.flip(authenticator.authenticate(from("10.0.0.1")))
    expect(refused.reason).toBe("not-authorized")
    expect(authenticator.open()).toBe(true)
  }).pipe(Effect.provide(guarded))
)

it.effect("who is somebody comes in from anywhere", () =>
  Effect.gen(function* () {
    const authenticator = yield* Authenticator
    expect((yield* authenticator.authenticate(from("10.0.0.1"))).user).toBe("alice")
  }).pipe(
    Effect.provide(
      Layer.provide(
        LocalAnonymous.layer,
        Layer.succeed(Authenticator, {
          authenticate: ({ tenant }) => Effect.succeed({ tenant, user: "alice", superuser: false }),
          exchange: () => Effect.dieMessage("not asked"),
          open: () => false
        })
      )
    )
  )
)

/**
 * Says who a client is by the users in metadata: password, SCRAM-SHA-256, or the common name of a verified certificate.
 *
 * - While no user exists at all and nothing else is configured, the broker is open: everybody is let in, as nobody in particular, and
 *   the broker listens on loopback only. The first user closes it, until the next start: deleting the last one does not open a
 *   broker that may listen on every address by now.
 * - A user that does not exist costs the same time as a wrong password, and gets the same answer, in SCRAM too.
 */
import { type Live, liveOf, type Options } from "@effectmq/schemas/config/Live"
import type { User } from "@effectmq/schemas/metadata/User"
import { Metadata } from "@effectmq/metadata/Metadata"
import { userOf } from "@effectmq/metadata/core/Image"
import { Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHmac, randomBytes } from "node:crypto"
import { Audit } from "./Audit.js"
import {
  type AuthenticationExchange,
  AuthenticationFailed,
  Authenticator,
  type AuthenticatorService,
  type Credentials,
  type Principal
} from "./Authenticator.js"
import { challenge, parseClientFirst, type ScramKeys, type ServerChallenge, verifyClientFinal } from "./core/Scram.js"
import { PasswordHash } from "./PasswordHash.js"

/** The one method of enhanced authentication [MQTT5 4.12]. */
export const scramMethod = "SCRAM-SHA-256"

export interface UsersAuthenticatorOptions {
  /** Lets clients without a user name in even though users exist; default false. As it was first. */
  readonly allowAnonymous?: boolean
  /**
   * A client with a verified certificate is the user of its common name, without a password; default false. That user need not be in
   * metadata: whoever signs the certificates says who may come in. Where it is, it may be a superuser.
   */
  readonly useCertificateCommonName?: boolean
}

const results = ["accepted", "bad-credentials", "not-authorized", "unavailable", "bad-method"] as const

const badCredentials = () => new AuthenticationFailed({ reason: "bad-credentials", message: "unknown user or wrong password" })

const busy = () => new AuthenticationFailed({ reason: "unavailable", message: "too many clients are logging in" })

const keysOfUser = (user: User | undefined): ScramKeys | undefined => {
  const scram = user?.scram
  if (scram === undefined) return undefined
  return {
    salt: Buffer.from(scram.salt, "base64"),
    iterations: scram.iterations,
    storedKey: Buffer.from(scram.storedKey, "base64"),
    serverKey: Buffer.from(scram.serverKey, "base64")
  }
}

const make = (options: Live<UsersAuthenticatorOptions>) =>
  Effect.gen(function* () {
    const metadata = yield* Metadata
    const passwords = yield* PasswordHash
    const audit = yield* Audit
    const meters = yield* Meters
    const allowAnonymous = options.current.allowAnonymous ?? false
    const useCertificates = () => options.current.useCertificateCommonName ?? false
    /** Makes up salts for users that do not exist: the same one each time, as a real user's would be. */
    const salting = randomBytes(32)
    const counters = new Map(
      results.map((result) => [
        result,
        meters.counter("effectmq_authentications_total", "Clients that said who they are, by result.", { result })
      ])
    )

    const count = (result: (typeof results)[number]) => {
      const counter = counters.get(result)
      if (counter !== undefined) counter.value += 1
    }

    /** Counts and records the outcome of one attempt. */
    const watched = <A>(
      credentials: Credentials,
      user: () => string | undefined,
      accepted: (value: A) => boolean,
      attempt: Effect.Effect<A, AuthenticationFailed>
    ): Effect.Effect<A, AuthenticationFailed> =>
      attempt.pipe(
        Effect.tap((value) => Effect.sync(() => accepted(value) && count("accepted"))),
        Effect.tapError((error) =>
          Effect.sync(() => {
            count(error.reason)
            const { address, clientId, tenant } = credentials
            audit.record({ kind: "login-failed", subject: { tenant, user: user(), clientId, address }, reason: error.reason })
          })
        )
      )

    const nobodyExists = () => metadata.image().usersByName.size === 0
    let everConfigured = allowAnonymous || useCertificates() || !nobodyExists()
    const stopListening = metadata.onChange((delta) => {
      if (delta.after.usersByName.size > 0) everConfigured = true
    })
    const stopFollowing = options.onChange(() => {
      if (useCertificates()) everConfigured = true
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        stopListening()
        stopFollowing()
      })
    )
    const isOpen = () => !everConfigured && nobodyExists()

    const anonymous = (tenant: string): Principal => ({ tenant, user: undefined, superuser: false })

    const certified = ({ certificateCommonName, tenant }: Credentials): Principal | undefined => {
      if (!useCertificates() || certificateCommonName === undefined || certificateCommonName === "") return undefined
      const superuser = userOf(metadata.image(), tenant, certificateCommonName)?.superuser ?? false
      return { tenant, user: certificateCommonName, superuser }
    }

    const byPassword = (tenant: string, name: string, password: Uint8Array) =>
      Effect.gen(function* () {
        const user = userOf(metadata.image(), tenant, name)
        const right = yield* user?.passwordHash !== undefined
          ? passwords.verify(password, user.passwordHash)
          : user?.scram !== undefined
            ? Effect.zipRight(passwords.verifyNobody(password), passwords.verifyScram(password, user.scram))
            : passwords.verifyNobody(password)
        // Read again: the user may have gone while the password was checked.
        const now = userOf(metadata.image(), tenant, name)
        if (!right || now === undefined || now.passwordHash !== user?.passwordHash) return yield* badCredentials()
        return { tenant, user: name, superuser: now.superuser }
      }).pipe(Effect.catchTag("PasswordHashBusy", () => Effect.fail(busy())))

    const principalOf = (credentials: Credentials): Effect.Effect<Principal, AuthenticationFailed> => {
      const { password, tenant, username } = credentials
      const principal = certified(credentials)
      if (principal !== undefined) return Effect.succeed(principal)
      // What a broker without users is told is not checked, and so not believed.
      if (nobodyExists() && (allowAnonymous || isOpen())) return Effect.succeed(anonymous(tenant))
      if (username === undefined) {
        if (allowAnonymous) return Effect.succeed(anonymous(tenant))
        return Effect.fail(new AuthenticationFailed({ reason: "not-authorized", message: "a user name is needed" }))
      }
      return byPassword(tenant, username, password ?? new Uint8Array(0))
    }

    const challengeFor = (credentials: Credentials, data: Uint8Array) => {
      const first = parseClientFirst(Buffer.from(data).toString("utf8"))
      if ("failed" in first) return new AuthenticationFailed({ reason: "bad-credentials", message: `SCRAM: ${first.failed}` })
      const actsAs = first.authorizationIdentity ?? first.user
      if (actsAs !== first.user || (credentials.username !== undefined && credentials.username !== first.user)) {
        return new AuthenticationFailed({ reason: "not-authorized", message: "SCRAM: one may log in as oneself only" })
      }
      const keys = keysOfUser(userOf(metadata.image(), credentials.tenant, first.user))
      const salt = createHmac("sha256", salting).update(`${credentials.tenant}/${first.user}`).digest().subarray(0, 16)
      const madeUp = { salt, iterations: 4096, storedKey: Buffer.alloc(32), serverKey: Buffer.alloc(32) }
      const asked = challenge(first, keys ?? madeUp, randomBytes(18).toString("base64"))
      return { user: first.user, keys, checked: keys ?? madeUp, asked }
    }

    const finish = (tenant: string, open: Challenged, data: Uint8Array) => {
      const verdict = verifyClientFinal("sha256", open.asked, open.checked, Buffer.from(data).toString("utf8"))
      const user = userOf(metadata.image(), tenant, open.user)
      const keys = keysOfUser(user)
      if ("failed" in verdict || open.keys === undefined || user === undefined || keys === undefined) return badCredentials()
      if (Buffer.compare(keys.storedKey, open.keys.storedKey) !== 0) return badCredentials()
      return {
        data: Buffer.from(verdict.message) as Uint8Array,
        principal: { tenant, user: open.user, superuser: user.superuser }
      }
    }

    const scramExchange = (credentials: Credentials): AuthenticationExchange => {
      let open: Challenged | "done" | undefined
      const step = (data: Uint8Array): Effect.Effect<ExchangeAnswer, AuthenticationFailed> =>
        Effect.suspend((): Effect.Effect<ExchangeAnswer, AuthenticationFailed> => {
          if (open === "done") {
            return Effect.fail(new AuthenticationFailed({ reason: "bad-credentials", message: "SCRAM: the exchange is over" }))
          }
          if (open === undefined) {
            const next = challengeFor(credentials, data)
            open = next instanceof AuthenticationFailed ? "done" : next
            if (next instanceof AuthenticationFailed) return Effect.fail(next)
            return Effect.succeed({ data: Buffer.from(next.asked.message) as Uint8Array, principal: undefined })
          }
          const result = finish(credentials.tenant, open, data)
          open = "done"
          return result instanceof AuthenticationFailed ? Effect.fail(result) : Effect.succeed(result)
        })
      const userNow = () => (open === undefined || open === "done" ? credentials.username : open.user)
      return {
        step: (data) => {
          const user = userNow()
          return watched<ExchangeAnswer>(
            credentials,
            () => user ?? userNow(),
            (value) => value.principal !== undefined,
            step(data)
          )
        }
      }
    }

    const service: AuthenticatorService = {
      authenticate: (credentials) =>
        watched(
          credentials,
          () => credentials.username,
          () => true,
          Effect.suspend(() => principalOf(credentials))
        ),
      exchange: (method, credentials) =>
        watched(
          credentials,
          () => credentials.username,
          () => false,
          method === scramMethod
            ? Effect.sync(() => scramExchange(credentials))
            : Effect.fail(
                new AuthenticationFailed({ reason: "bad-method", message: `authentication method ${method} is not known` })
              )
        ),
      open: isOpen
    }
    return service
  })

interface Challenged {
  readonly user: string
  /** undefined: there is no such user, or it cannot use SCRAM. */
  readonly keys: ScramKeys | undefined
  readonly checked: ScramKeys
  readonly asked: ServerChallenge
}

interface ExchangeAnswer {
  readonly data: Uint8Array | undefined
  readonly principal: Principal | undefined
}

export const layer = (
  options: Options<UsersAuthenticatorOptions> = {}
): Layer.Layer<Authenticator, never, Metadata | PasswordHash | Audit | Meters> =>
  Layer.scoped(Authenticator, make(liveOf(options)))

/** Lets everybody in as nobody in particular, whatever they say they are. */
export const layerAnonymous: Layer.Layer<Authenticator> = Layer.succeed(Authenticator, {
  authenticate: ({ tenant }) => Effect.succeed({ tenant, user: undefined, superuser: false }),
  exchange: (method) =>
    Effect.fail(new AuthenticationFailed({ reason: "bad-method", message: `authentication method ${method} is not known` })),
  open: () => true
})

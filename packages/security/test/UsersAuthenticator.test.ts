import { Meters } from "@effectmq/metrics/Meters"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import { LiveCell, type Options } from "@effectmq/schemas/config/Live"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { AuditEvent } from "../src/Audit.js"
import * as AuditLog from "../src/AuditLog.js"
import { type AuthenticationFailed, Authenticator, type AuthenticatorService, type Credentials } from "../src/Authenticator.js"
import { clientFinal, clientFirst, parseServerFirst } from "../src/core/Scram.js"
import * as PasswordHash from "../src/PasswordHash.js"
import * as UsersAuthenticator from "../src/UsersAuthenticator.js"
import { TestMetadata } from "./support/TestMetadata.js"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array | undefined) => Buffer.from(data ?? []).toString("utf8")

const credentials = (username?: string, password?: string, rest: Partial<Credentials> = {}): Credentials => ({
  tenant: "default",
  clientId: "c1",
  username,
  password: password === undefined ? undefined : bytes(password),
  certificateCommonName: undefined,
  address: "127.0.0.1",
  ...rest
})

const passwords = PasswordHash.make({ costLog2: 4 })

interface World {
  readonly authenticator: AuthenticatorService
  readonly metadata: TestMetadata
  readonly audit: ReadonlyArray<AuditEvent>
  readonly meters: typeof Meters.Service
}

const inWorld = (
  options: Options<UsersAuthenticator.UsersAuthenticatorOptions>,
  test: (world: World) => Effect.Effect<unknown, unknown>,
  prepare: (metadata: TestMetadata) => Effect.Effect<unknown, unknown> = () => Effect.void
) =>
  Effect.gen(function* () {
    const metadata = new TestMetadata()
    const audit: Array<AuditEvent> = []
    yield* prepare(metadata)
    yield* Effect.gen(function* () {
      yield* test({ authenticator: yield* Authenticator, metadata, audit, meters: yield* Meters })
    }).pipe(
      Effect.provide(
        UsersAuthenticator.layer(options).pipe(
          Layer.provide([metadata.layer, AuditLog.layerMemory(audit), Layer.succeed(PasswordHash.PasswordHash, passwords)]),
          Layer.provideMerge(PrometheusMeters.layerMemory)
        )
      )
    )
  })

const addUser = (metadata: TestMetadata, name: string, password: string, superuser = false) =>
  Effect.gen(function* () {
    const passwordHash = yield* passwords.hash(bytes(password))
    const scram = yield* passwords.scramVerifier(bytes(password))
    metadata.putUser(name, { passwordHash, superuser, ...(scram === undefined ? {} : { scram }) })
  })

const outcome = <A>(attempt: Effect.Effect<A, AuthenticationFailed>) =>
  Effect.map(Effect.either(attempt), (result) => (Either.isLeft(result) ? result.left.reason : result.right))

const anonymous = { tenant: "default", user: undefined, superuser: false }

describe("UsersAuthenticator", () => {
  it.live("a broker without users is open to all, as nobody", () =>
    inWorld({}, ({ authenticator, metadata }) =>
      Effect.gen(function* () {
        expect(authenticator.open()).toBe(true)
        expect(yield* outcome(authenticator.authenticate(credentials()))).toEqual(anonymous)
        expect(yield* outcome(authenticator.authenticate(credentials("anna", "x")))).toEqual(anonymous)
        yield* addUser(metadata, "anna", "right")
        expect(authenticator.open()).toBe(false)
        expect(yield* outcome(authenticator.authenticate(credentials()))).toBe("not-authorized")
        // Deleting the last user does not open it again.
        metadata.deleteUser("anna")
        expect(authenticator.open()).toBe(false)
        expect(yield* outcome(authenticator.authenticate(credentials()))).toBe("not-authorized")
        expect(yield* outcome(authenticator.authenticate(credentials("anna", "right")))).toBe("bad-credentials")
      })
    )
  )

  it.live("checks passwords, and tells an unknown user and a wrong password apart for nobody", () =>
    inWorld(
      {},
      ({ audit, authenticator, meters }) =>
        Effect.gen(function* () {
          const attempt = (username?: string, password?: string) =>
            outcome(authenticator.authenticate(credentials(username, password)))
          expect(yield* attempt("anna", "right")).toEqual({ tenant: "default", user: "anna", superuser: false })
          expect(yield* attempt("root", "toor")).toEqual({ tenant: "default", user: "root", superuser: true })
          expect(yield* attempt("anna", "wrong")).toBe("bad-credentials")
          expect(yield* attempt("anna")).toBe("bad-credentials")
          expect(yield* attempt("nobody", "right")).toBe("bad-credentials")
          expect(yield* attempt()).toBe("not-authorized")
          const messages = yield* Effect.all(
            [credentials("anna", "wrong"), credentials("nobody", "x")].map((one) => Effect.flip(authenticator.authenticate(one)))
          )
          expect(messages[0]).toEqual(messages[1])
          const other = credentials("anna", "right", { tenant: "other" })
          expect(yield* outcome(authenticator.authenticate(other))).toBe("bad-credentials")
          expect(audit.map((event) => event.kind)).toEqual(new Array(7).fill("login-failed"))
          expect(JSON.stringify(audit)).not.toContain("right")
          expect(meters.snapshot().get('effectmq_authentications_total{result="accepted"}')).toBe(2)
          expect(meters.snapshot().get('effectmq_authentications_total{result="bad-credentials"}')).toBe(6)
        }),
      (metadata) => Effect.zipRight(addUser(metadata, "anna", "right"), addUser(metadata, "root", "toor", true))
    )
  )

  it.live("a user that was deleted, or whose password changed, is out at once", () =>
    inWorld(
      {},
      ({ authenticator, metadata }) =>
        Effect.gen(function* () {
          const attempt = (password: string) => outcome(authenticator.authenticate(credentials("anna", password)))
          expect(yield* attempt("first")).toMatchObject({ user: "anna" })
          yield* addUser(metadata, "anna", "second")
          expect(yield* attempt("first")).toBe("bad-credentials")
          expect(yield* attempt("second")).toMatchObject({ user: "anna" })
          metadata.deleteUser("anna")
          expect(yield* attempt("second")).toBe("bad-credentials")
        }),
      (metadata) => addUser(metadata, "anna", "first")
    )
  )

  it.live("a user with SCRAM keys only may send its password; one with neither has none", () =>
    inWorld(
      {},
      ({ authenticator }) =>
        Effect.gen(function* () {
          expect(yield* outcome(authenticator.authenticate(credentials("scram", "pencil")))).toMatchObject({ user: "scram" })
          expect(yield* outcome(authenticator.authenticate(credentials("scram", "pen")))).toBe("bad-credentials")
          expect(yield* outcome(authenticator.authenticate(credentials("bare", "")))).toBe("bad-credentials")
        }),
      (metadata) =>
        Effect.gen(function* () {
          const scram = yield* passwords.scramVerifier(bytes("pencil"))
          metadata.putUser("scram", scram === undefined ? {} : { scram })
          metadata.putUser("bare")
        })
    )
  )

  it.live("allowAnonymous lets in who names no user, and still checks who does", () =>
    inWorld(
      { allowAnonymous: true },
      ({ authenticator }) =>
        Effect.gen(function* () {
          expect(authenticator.open()).toBe(false)
          expect(yield* outcome(authenticator.authenticate(credentials()))).toEqual(anonymous)
          expect(yield* outcome(authenticator.authenticate(credentials("anna", "wrong")))).toBe("bad-credentials")
        }),
      (metadata) => addUser(metadata, "anna", "right")
    )
  )

  it.live("takes the common name of a certificate from when that is wanted, and then is open no more", () => {
    const options = new LiveCell({ useCertificateCommonName: false })
    return inWorld(options, ({ authenticator }) =>
      Effect.gen(function* () {
        const certified = credentials(undefined, undefined, { certificateCommonName: "sensor-7" })
        expect((yield* authenticator.authenticate(certified)).user).toBeUndefined()
        expect(authenticator.open()).toBe(true)
        options.set({ useCertificateCommonName: true })
        expect((yield* authenticator.authenticate(certified)).user).toBe("sensor-7")
        options.set({ useCertificateCommonName: false })
        expect(authenticator.open()).toBe(false)
        expect(yield* Effect.flip(authenticator.authenticate(certified))).toMatchObject({ reason: "not-authorized" })
      })
    )
  })

  it.live("takes the common name of a certificate, where that is wanted", () =>
    Effect.all([
      inWorld({ useCertificateCommonName: true }, ({ authenticator, metadata }) =>
        Effect.gen(function* () {
          const certified = credentials("mallory", "x", { certificateCommonName: "sensor-7" })
          expect(authenticator.open()).toBe(false)
          expect(yield* outcome(authenticator.authenticate(certified))).toEqual({ ...anonymous, user: "sensor-7" })
          expect(yield* outcome(authenticator.authenticate(credentials()))).toBe("not-authorized")
          metadata.putUser("sensor-7", { superuser: true })
          expect(yield* outcome(authenticator.authenticate(certified))).toMatchObject({ superuser: true })
        })
      ),
      inWorld(
        {},
        ({ authenticator }) =>
          Effect.gen(function* () {
            const certified = credentials(undefined, undefined, { certificateCommonName: "anna" })
            expect(yield* outcome(authenticator.authenticate(certified))).toBe("not-authorized")
          }),
        (metadata) => addUser(metadata, "anna", "right")
      )
    ])
  )

  it.live("says that it is busy when too many log in", () =>
    Effect.gen(function* () {
      const busy = PasswordHash.make({ costLog2: 8, concurrencyMax: 1, waitingMax: 0 })
      const metadata = new TestMetadata()
      yield* addUser(metadata, "anna", "right")
      const results = yield* Effect.gen(function* () {
        const authenticator = yield* Authenticator
        const attempts = Array.from({ length: 5 }, () => outcome(authenticator.authenticate(credentials("anna", "right"))))
        return yield* Effect.all(attempts, { concurrency: "unbounded" })
      }).pipe(
        Effect.provide(
          UsersAuthenticator.layer().pipe(
            Layer.provide([metadata.layer, AuditLog.layerNone, PrometheusMeters.layerMemory]),
            Layer.provide(Layer.succeed(PasswordHash.PasswordHash, busy))
          )
        )
      )
      expect(results.filter((result) => result === "unavailable")).toHaveLength(4)
    })
  )
})

/** One conversation as a client holds it; the end of it, or the reason why it failed. */
const converse = (authenticator: AuthenticatorService, who: Credentials, user: string, password: string) =>
  Effect.gen(function* () {
    const exchange = yield* authenticator.exchange("SCRAM-SHA-256", who)
    const nonce = "client-nonce-0123"
    const first = clientFirst(user, nonce)
    const asked = text((yield* exchange.step(bytes(first))).data)
    const challenge = parseServerFirst(nonce, asked)
    if ("failed" in challenge) throw new Error(challenge.failed)
    const salted = yield* PasswordHash.saltedPassword(password, challenge.salt, challenge.iterations)
    const last = clientFinal("sha256", first, asked, salted)
    const end = yield* exchange.step(bytes(last.message))
    expect(text(end.data)).toBe(last.expected)
    return { principal: end.principal, exchange, asked }
  })

describe("SCRAM-SHA-256", () => {
  it.live("ends in a principal for the right password only", () =>
    inWorld(
      {},
      ({ audit, authenticator }) =>
        Effect.gen(function* () {
          const { exchange, principal } = yield* converse(authenticator, credentials(), "anna", "right")
          expect(principal).toEqual({ tenant: "default", user: "anna", superuser: true })
          expect(yield* outcome(exchange.step(bytes("n,,n=anna,r=12345678")))).toBe("bad-credentials")
          expect(yield* outcome(converse(authenticator, credentials(), "anna", "wrong"))).toBe("bad-credentials")
          expect(yield* outcome(converse(authenticator, credentials(), "nobody", "right"))).toBe("bad-credentials")
          expect(yield* outcome(converse(authenticator, credentials("bert"), "anna", "right"))).toBe("not-authorized")
          expect(yield* outcome(authenticator.exchange("PLAIN", credentials()))).toBe("bad-method")
          expect(audit.map((event) => event.kind === "login-failed" && event.subject.user)).toEqual([
            undefined,
            "anna",
            "nobody",
            "bert",
            undefined
          ])
        }),
      (metadata) => addUser(metadata, "anna", "right", true)
    )
  )

  it.live("a user that does not exist has a salt of its own, the same each time", () =>
    inWorld({}, ({ authenticator }) =>
      Effect.gen(function* () {
        const saltOf = (user: string) =>
          Effect.gen(function* () {
            const exchange = yield* authenticator.exchange("SCRAM-SHA-256", credentials())
            const { data } = yield* exchange.step(bytes(clientFirst(user, "client-nonce-0123")))
            return /s=([^,]*),i=4096$/.exec(text(data))?.[1]
          })
        const salt = yield* saltOf("nobody")
        expect(salt).toHaveLength(24)
        expect(yield* saltOf("nobody")).toBe(salt)
        expect(yield* saltOf("noone")).not.toBe(salt)
      })
    )
  )

  it.live("refuses broken messages, and stays refused", () =>
    inWorld({}, ({ authenticator }) =>
      Effect.gen(function* () {
        const exchange = yield* authenticator.exchange("SCRAM-SHA-256", credentials())
        expect(yield* outcome(exchange.step(Uint8Array.of(0xff, 0, 1)))).toBe("bad-credentials")
        expect(yield* outcome(exchange.step(bytes("n,,n=anna,r=12345678")))).toBe("bad-credentials")
        const other = yield* authenticator.exchange("SCRAM-SHA-256", credentials())
        expect(yield* outcome(other.step(bytes("n,a=root,n=anna,r=12345678")))).toBe("not-authorized")
      })
    )
  )
})

it.effect("layerAnonymous lets everybody in as nobody", () =>
  Effect.gen(function* () {
    const authenticator = yield* Authenticator
    expect(yield* authenticator.authenticate(credentials("anna", "x"))).toEqual(anonymous)
    expect(yield* outcome(authenticator.exchange("SCRAM-SHA-256", credentials()))).toBe("bad-method")
    expect(authenticator.open()).toBe(true)
  }).pipe(Effect.provide(UsersAuthenticator.layerAnonymous))
)

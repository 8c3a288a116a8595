/**
 * Lets clients in: tenant, bans, authenticator, flapping, permissions; one Effect per CONNECT or AUTH. Only who proved who it is counts as one
 * that connects again and again: nobody else can have a client banned.
 */
import {
  type AuthenticationExchange,
  AuthenticationFailed,
  type AuthenticatorService,
  type Credentials,
  type Principal
} from "@effectmq/security/Authenticator"
import type { AuthorizerService } from "@effectmq/security/Authorizer"
import type { BansService } from "@effectmq/security/Bans"
import type { FlappingDetectorService } from "@effectmq/security/FlappingDetector"
import type { TenancyService } from "@effectmq/security/Tenancy"
import type { StorageError } from "@effectmq/storage/StorageError"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import { ReasonCode } from "./codec/ReasonCode.js"
import type { Login, LoginAnswer, Refusal, TenantSessions } from "./core/ConnectionContext.js"

export interface LoginParts {
  readonly authenticator: AuthenticatorService
  readonly authorizer: AuthorizerService
  readonly bans: BansService
  readonly flapping: FlappingDetectorService
  /** undefined: every client is in the tenant of its listener. */
  readonly tenancy: TenancyService | undefined
  readonly nowMs: () => number
  readonly tenant: (tenant: string) => Effect.Effect<TenantSessions, StorageError>
}

const codeByReason: Readonly<Record<AuthenticationFailed["reason"], number>> = {
  "bad-credentials": ReasonCode.badUserNameOrPassword,
  "not-authorized": ReasonCode.notAuthorized,
  unavailable: ReasonCode.serverUnavailable,
  "bad-method": ReasonCode.badAuthenticationMethod
}

const refused = (reasonCode: number, message: string): LoginAnswer => ({ kind: "refused", refusal: { reasonCode, message } })

const bannedRefusal: Refusal = { reasonCode: ReasonCode.banned, message: "banned" }

const unavailable = refused(ReasonCode.serverUnavailable, "the server cannot let anybody in now")

export const makeLogin = (parts: LoginParts, runtime: Runtime.Runtime<never>): Login => {
  const runFork = Runtime.runFork(runtime)

  /** Runs to an answer; a defect is logged and answered as unavailable. */
  const answer = (effect: Effect.Effect<LoginAnswer, AuthenticationFailed | StorageError>, done: (answer: LoginAnswer) => void) =>
    runFork(
      effect.pipe(
        Effect.catchTag("AuthenticationFailed", (error) => Effect.succeed(refused(codeByReason[error.reason], error.message))),
        Effect.catchAllCause((cause) => Effect.as(Effect.logError("a login failed", cause), unavailable)),
        Effect.map(done)
      )
    )

  /** The credentials in the client's tenant, or why it need not even be asked for its password. */
  const judged = (given: Credentials): Credentials | Refusal => {
    const credentials = parts.tenancy?.locate(given) ?? given
    if (!(credentials instanceof AuthenticationFailed)) return banned(credentials) ?? credentials
    return { reasonCode: codeByReason[credentials.reason], message: credentials.message }
  }

  const banned = ({ tenant, clientId, address, username }: Credentials): Refusal | undefined =>
    parts.bans.banned({ tenant, clientId, address, user: username }, parts.nowMs()) === undefined ? undefined : bannedRefusal

  type Admit = (
    principal: Principal,
    credentials: Credentials,
    data: Uint8Array | undefined
  ) => Effect.Effect<LoginAnswer, StorageError>

  const admitted: Admit = (principal, { clientId, address }, data) =>
    Effect.map(parts.tenant(principal.tenant), (tenant) => ({
      kind: "admitted",
      admission: { principal, permissions: parts.authorizer.permissions({ principal, clientId, address }), tenant },
      data
    }))

  const connected: Admit = (principal, credentials, data) =>
    Effect.suspend(() =>
      parts.flapping.connected(credentials.tenant, credentials.clientId, parts.nowMs())
        ? Effect.succeed<LoginAnswer>({ kind: "refused", refusal: bannedRefusal })
        : admitted(principal, credentials, data)
    )

  const step = (exchange: AuthenticationExchange, admit: Admit, credentials: Credentials, data: Uint8Array) =>
    Effect.flatMap(exchange.step(data), (answer) =>
      answer.principal === undefined
        ? Effect.succeed<LoginAnswer>({ kind: "continue", data: answer.data })
        : admit(answer.principal, credentials, answer.data)
    )

  const exchange =
    (admit: Admit): Login["exchange"] =>
    (method, given, done) => {
      const credentials = judged(given)
      if ("reasonCode" in credentials) {
        done(credentials)
        return
      }
      runFork(
        parts.authenticator.exchange(method, credentials).pipe(
          Effect.match({
            onFailure: (error): Refusal => ({ reasonCode: codeByReason[error.reason], message: error.message }),
            onSuccess: (begun) => ({
              step: (data: Uint8Array, stepDone: (answer: LoginAnswer) => void) =>
                answer(step(begun, admit, credentials, data), stepDone)
            })
          }),
          Effect.map(done)
        )
      )
    }

  return {
    login: (given, done) => {
      const credentials = judged(given)
      if ("reasonCode" in credentials) {
        done({ kind: "refused", refusal: credentials })
        return undefined
      }
      const fiber = answer(
        Effect.flatMap(parts.authenticator.authenticate(credentials), (principal) =>
          connected(principal, credentials, undefined)
        ),
        done
      )
      return () => fiber.unsafeInterruptAsFork(FiberId.none)
    },
    exchange: exchange(connected),
    reauthenticate: exchange(admitted)
  }
}

/** Who counts as one that connects again and again. */
import { AuthenticationFailed, type AuthenticatorService, type Credentials } from "@effectmq/security/Authenticator"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { expect, it } from "vitest"
import type { Login, LoginAnswer, LoginExchange } from "../src/core/ConnectionContext.js"
import { type LoginParts, makeLogin } from "../src/LoginService.js"

const of = (clientId: string, password: string): Credentials => ({
  tenant: "default",
  clientId,
  username: "me",
  password: Buffer.from(password),
  certificateCommonName: undefined,
  address: "127.0.0.1"
})

const principal = { tenant: "default", username: "me" } as never
const isRight = (password: Uint8Array | undefined) => Buffer.from(password ?? []).toString() === "right"
const wrong = new AuthenticationFailed({ reason: "bad-credentials", message: "wrong" })

const authenticator: AuthenticatorService = {
  authenticate: ({ password }: Credentials) => (isRight(password) ? Effect.succeed(principal) : Effect.fail(wrong)),
  exchange: () =>
    Effect.succeed({
      step: (data: Uint8Array) => (isRight(data) ? Effect.succeed({ principal, data: undefined }) : Effect.fail(wrong))
    })
} as never

/** With a detector that bans with the third connect. */
const setup = () => {
  const counts = new Map<string, number>()
  const parts = {
    authenticator,
    authorizer: { permissions: () => ({}) },
    bans: { banned: () => undefined },
    flapping: {
      connected: (_tenant: string, clientId: string) => {
        counts.set(clientId, (counts.get(clientId) ?? 0) + 1)
        return (counts.get(clientId) ?? 0) > 2
      }
    },
    tenancy: undefined,
    nowMs: () => 0,
    tenant: () => Effect.succeed({})
  } as unknown as LoginParts
  const login = makeLogin(parts, Runtime.defaultRuntime)
  const outcome = (answer: LoginAnswer) => (answer.kind === "refused" ? answer.refusal.reasonCode : answer.kind)
  const connect = (clientId: string, password: string) =>
    new Promise((resolve) => login.login(of(clientId, password), (answer) => resolve(outcome(answer))))
  const exchange = (which: "exchange" | "reauthenticate", clientId: string, word: string) =>
    new Promise((resolve) =>
      (login[which] as Login["exchange"])("WORD", of(clientId, ""), (begun) =>
        (begun as LoginExchange).step(Buffer.from(word), (answer) => resolve(outcome(answer)))
      )
    )
  return { connect, exchange }
}

it("who is not let in does not count", async () => {
  const { connect, exchange } = setup()
  for (let times = 0; times < 5; times++) {
    expect(await connect("a", "guess")).toBe(0x86)
    expect(await exchange("exchange", "a", "guess")).toBe(0x86)
  }
  expect([await connect("a", "right"), await connect("a", "right")]).toEqual(["admitted", "admitted"])
  expect(await connect("a", "right")).toBe(0x8a)
})

it("connects by an exchange count, proofs of who is connected do not", async () => {
  const { exchange } = setup()
  for (let times = 0; times < 2; times++) {
    expect(await exchange("exchange", "a", "right")).toBe("admitted")
    for (let more = 0; more < 3; more++) expect(await exchange("reauthenticate", "a", "right")).toBe("admitted")
  }
  expect(await exchange("exchange", "a", "right")).toBe(0x8a)
})

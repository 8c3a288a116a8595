/**
 * What a command says of an admin API that does not answer.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { call } from "../src/AdminClient.js"

const silent = Effect.acquireRelease(
  Effect.async<{ readonly url: string; readonly close: () => void }>((resume) => {
    const server = createServer(() => {})
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const close = () => {
        server.closeAllConnections()
        server.close()
      }
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

it.scoped("a call waits as long as its command says, and tells what that may mean", () =>
  Effect.gen(function* () {
    const { url } = yield* silent
    const wish = { path: ["cluster", "nodes"], answerMsMax: 50 }
    const failure = yield* Effect.flip(call({ admin: Option.some(url), token: Option.none() }, wish, Schema.Undefined))
    expect(failure).toMatchObject({
      kind: "unreachable",
      message: `the broker at ${url} did not answer within 0.05 s; what was asked for may still happen, look before you try again`
    })
  })
)

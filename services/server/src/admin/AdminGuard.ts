/**
 * Who may use `/api`: with `admin.token` set, whoever brings it as a bearer token; without, only programs on this machine. A
 * web page is none: a request with a foreign `Host` (a name that was made to lead here) or with an `Origin` is refused.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isLoopback } from "../Loopback.js"
import { AdminError } from "./AdminRequest.js"

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

const hostName = (header: string): string =>
  header.startsWith("[") ? header.slice(1, header.indexOf("]")) : (header.split(":")[0] ?? "")

const forbidden = (message: string) => new AdminError({ status: 403, error: "Forbidden", message })

export const guard = (token: string | undefined): Effect.Effect<void, AdminError, HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    if (token !== undefined) {
      const given = /^Bearer +(.+)$/i.exec(request.headers["authorization"] ?? "")?.[1] ?? ""
      return timingSafeEqual(digest(given), digest(token))
        ? Effect.void
        : Effect.fail(
            new AdminError({ status: 401, error: "Unauthorized", message: "a bearer token is needed: see admin.token" })
          )
    }
    if (!isLoopback(Option.getOrElse(request.remoteAddress, () => ""))) {
      return Effect.fail(forbidden("without admin.token the admin API answers only on the broker's own machine"))
    }
    if (!isLoopback(hostName(request.headers["host"] ?? "")) || request.headers["origin"] !== undefined) {
      return Effect.fail(forbidden("without admin.token the admin API does not answer web pages"))
    }
    return Effect.void
  })

/**
 * `/bans`: who may not connect. Clients that are connected and fall under a new ban are ended by the protocol.
 */
import { PutBanBody } from "@effectmq/schemas/admin/Bans"
import { BanKind } from "@effectmq/schemas/metadata/Ban"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { banKey } from "@effectmq/metadata/core/Image"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { audited, badRequest, body, done, ofMetadata, ok, pathPart, tenant } from "./AdminRequest.js"

const ban = Effect.gen(function* () {
  const given = yield* pathPart("kind")
  const kind = yield* Effect.mapError(Schema.decodeUnknown(BanKind)(given), () =>
    badRequest(`a ban is of a user, clientId, address or pattern, not of a ${given}`)
  )
  return { tenant: yield* tenant, kind, value: yield* pathPart("value") }
})

const listBans = Effect.gen(function* () {
  const tenantId = yield* tenant
  const nowMs = yield* Clock.currentTimeMillis
  const bans = [...(yield* Metadata).image().bansByKey.values()]
  return ok(bans.filter((each) => each.tenant === tenantId && (each.untilMs === undefined || each.untilMs > nowMs)))
})

const putBan = Effect.gen(function* () {
  const which = yield* ban
  const wished = yield* body(PutBanBody)
  const command = { _tag: "PutBan", ...(yield* stamp), ...which, ...wished, by: "admin" } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(which.tenant, "ban-put", `${which.kind} ${which.value}`)
  return ok((yield* Metadata).image().bansByKey.get(banKey(which)))
})

const deleteBan = Effect.gen(function* () {
  const command = { _tag: "DeleteBan", ...(yield* stamp), ...(yield* ban) } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(command.tenant, "ban-delete", `${command.kind} ${command.value}`)
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/bans", listBans),
  HttpRouter.put("/bans/:kind/:value", putBan),
  HttpRouter.del("/bans/:kind/:value", deleteBan)
)

/**
 * `/users`: who may connect. A password is hashed here and never stored, shown or logged.
 */
import type { UserSummary } from "@effectmq/schemas/admin/Users"
import { PutUserBody } from "@effectmq/schemas/admin/Users"
import type { User } from "@effectmq/schemas/metadata/User"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { userOf } from "@effectmq/metadata/core/Image"
import { Metadata } from "@effectmq/metadata/Metadata"
import { PasswordHash } from "@effectmq/security/PasswordHash"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import {
  AdminError,
  audited,
  badRequest,
  body,
  created,
  done,
  notFound,
  ofMetadata,
  ok,
  pathPart,
  tenant
} from "./AdminRequest.js"

const summaryOf = (user: User): UserSummary => ({
  tenant: user.tenant,
  name: user.name,
  superuser: user.superuser,
  hasPassword: user.passwordHash !== undefined,
  hasScram: user.scram !== undefined,
  updatedAtMs: user.updatedAtMs
})

const show = (tenantId: string, name: string) =>
  Effect.flatMap(Metadata, (metadata) => {
    const user = userOf(metadata.image(), tenantId, name)
    return user === undefined
      ? Effect.fail(notFound(`there is no user ${name} in tenant ${tenantId}`))
      : Effect.succeed(summaryOf(user))
  })

/** What of a user comes from its password. */
const secretsOf = (password: string) =>
  Effect.gen(function* () {
    const hashing = yield* PasswordHash
    const bytes = Buffer.from(password, "utf8")
    const passwordHash = yield* hashing.hash(bytes)
    const scram = yield* hashing.scramVerifier(bytes)
    return scram === undefined ? { passwordHash } : { passwordHash, scram }
  }).pipe(Effect.mapError((error) => new AdminError({ status: 503, error: error._tag, message: error.message })))

const listUsers = Effect.gen(function* () {
  const tenantId = yield* tenant
  const users = [...(yield* Metadata).image().usersByName.values()]
  return ok(users.filter((user) => user.tenant === tenantId).map(summaryOf))
})

const showUser = Effect.gen(function* () {
  return ok(yield* show(yield* tenant, yield* pathPart("name")))
})

const putUser = Effect.gen(function* () {
  const tenantId = yield* tenant
  const name = yield* pathPart("name")
  const wished = yield* body(PutUserBody)
  const known = userOf((yield* Metadata).image(), tenantId, name)
  if (known === undefined && wished.password === undefined) {
    return yield* Effect.fail(badRequest(`a new user needs a password`))
  }
  const secrets =
    wished.password === undefined
      ? {
          ...(known?.passwordHash === undefined ? {} : { passwordHash: known.passwordHash }),
          ...(known?.scram === undefined ? {} : { scram: known.scram })
        }
      : yield* secretsOf(wished.password)
  const superuser = wished.superuser ?? known?.superuser ?? false
  const command = { _tag: "PutUser", ...(yield* stamp), tenant: tenantId, name, superuser, ...secrets } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(tenantId, wished.password === undefined ? "user-put" : "user-put-password", name)
  const summary = yield* show(tenantId, name)
  return known === undefined ? created(summary) : ok(summary)
})

const deleteUser = Effect.gen(function* () {
  const command = { _tag: "DeleteUser", ...(yield* stamp), tenant: yield* tenant, name: yield* pathPart("name") } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(command.tenant, "user-delete", command.name)
  return done
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/users", listUsers),
  HttpRouter.get("/users/:name", showUser),
  HttpRouter.put("/users/:name", putUser),
  HttpRouter.del("/users/:name", deleteUser)
)

/**
 * `/acl`: rules and default.
 */
import type { AclView } from "@effectmq/schemas/admin/Acl"
import { PutAclBody, PutAclDefaultBody } from "@effectmq/schemas/admin/Acl"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { aclRulesOf } from "@effectmq/metadata/core/Image"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import { ServerSettings } from "../ServerSettings.js"
import { audited, body, created, done, ofMetadata, ok, pathPart, tenant } from "./AdminRequest.js"

/** Room between positions, so that a rule can be put between two. */
const positionStep = 10

const show = (tenantId: string) =>
  Effect.gen(function* () {
    const image = (yield* Metadata).image()
    const settings = (yield* ServerSettings).live.current
    const chosen = image.tenantsById.get(tenantId)?.aclDefault
    const view: AclView = {
      default: chosen ?? settings["auth.defaultAcl"],
      defaultFrom: chosen === undefined ? "configuration" : "acl",
      rules: aclRulesOf(image, tenantId)
    }
    return view
  })

const putRule = (tenantId: string, id: string | undefined) =>
  Effect.gen(function* () {
    const wished = yield* body(PutAclBody)
    const controller = yield* Controller
    const stamped = yield* stamp
    const rules = aclRulesOf((yield* Metadata).image(), tenantId)
    const known = rules.find((rule) => rule.id === id)
    const last = rules[rules.length - 1]
    const position = wished.position ?? known?.position ?? (last?.position ?? 0) + positionStep
    const rule = { tenant: tenantId, id: id ?? stamped.commandId.slice(0, 8), ...wished, position }
    yield* Effect.mapError(controller.submit({ _tag: "PutAcl", ...stamped, ...rule }), ofMetadata)
    yield* audited(tenantId, "acl-put", rule.id)
    return rule
  })

const showAcl = Effect.gen(function* () {
  return ok(yield* show(yield* tenant))
})

const addRule = Effect.gen(function* () {
  return created(yield* putRule(yield* tenant, undefined))
})

const replaceRule = Effect.gen(function* () {
  return ok(yield* putRule(yield* tenant, yield* pathPart("id")))
})

const deleteRule = Effect.gen(function* () {
  const command = { _tag: "DeleteAcl", ...(yield* stamp), tenant: yield* tenant, id: yield* pathPart("id") } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(command.tenant, "acl-delete", command.id)
  return done
})

const setDefault = Effect.gen(function* () {
  const tenantId = yield* tenant
  const { effect } = yield* body(PutAclDefaultBody)
  const command = { _tag: "SetAclDefault", ...(yield* stamp), tenant: tenantId, ...(effect === null ? {} : { effect }) } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(tenantId, "acl-default", effect ?? "configuration")
  return ok(yield* show(tenantId))
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/acl", showAcl),
  HttpRouter.post("/acl/rules", addRule),
  HttpRouter.put("/acl/rules/:id", replaceRule),
  HttpRouter.del("/acl/rules/:id", deleteRule),
  HttpRouter.put("/acl/default", setDefault)
)

/**
 * What the resources of the admin API share: reading path, query and body, and answering JSON. Every refusal is an `AdminError`.
 */
import type { MetadataError } from "@effectmq/schemas/errors/MetadataError"
import { defaultTenant } from "@effectmq/schemas/Ids"
import type { Messaging } from "@effectmq/messaging/Messaging"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import { Metadata } from "@effectmq/metadata/Metadata"
import { Audit } from "@effectmq/security/Audit"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

export class AdminError extends Data.TaggedError("AdminError")<{
  readonly status: number
  /** A stable name for programs. */
  readonly error: string
  readonly message: string
}> {}

export const badRequest = (message: string) => new AdminError({ status: 400, error: "BadRequest", message })
export const notFound = (message: string) => new AdminError({ status: 404, error: "NotFound", message })

const statusByTag: Readonly<Record<MetadataError["_tag"], number>> = {
  InvalidField: 400,
  InvalidTopic: 400,
  ClusterExists: 409,
  TenantExists: 409,
  TenantInUse: 409,
  TopicExists: 409,
  CommandIdReused: 409,
  NodeIdTaken: 409,
  InvalidMembership: 409,
  UnknownTenant: 404,
  UnknownTopic: 404,
  UnknownUser: 404,
  UnknownAcl: 404,
  UnknownBan: 404,
  UnknownConfig: 404,
  UnknownNode: 404,
  LimitReached: 507,
  MetadataUnavailable: 503
}

/** A refusal of the metadata as one of the admin API. */
export const ofMetadata = (error: MetadataError): AdminError =>
  new AdminError({ status: statusByTag[error._tag], error: error._tag, message: error.message })

const parseErrorToString = (error: ParseResult.ParseError): string => {
  try {
    return ParseResult.ArrayFormatter.formatErrorSync(error)
      .map((issue) => (issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`))
      .join("; ")
  } catch {
    // What was given is told too, and may be nested deeper than the stack is.
    return "it is not what was expected"
  }
}

/** Of one request. */
export const bodyBytesMax = 1024 * 1024

/** Of the line and the headers of one request: a topic of 4,096 characters fits into its path, however it is escaped. */
export const headerBytesMax = 64 * 1024

const tooLarge = new AdminError({
  status: 413,
  error: "BodyTooLarge",
  message: `the body has more than ${bodyBytesMax} bytes, or could not be read`
})

/** The JSON body; refused where it has a field too many. An absent body is an empty object. */
export const body = <A, I>(schema: Schema.Schema<A, I>): Effect.Effect<A, AdminError, HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (Number(request.headers["content-length"] ?? 0) > bodyBytesMax) return yield* Effect.fail(tooLarge)
    const text = yield* Effect.mapError(request.text, () => tooLarge)
    const content = yield* Effect.try({
      try: (): unknown => (text.trim() === "" ? {} : JSON.parse(text)),
      catch: () => badRequest("the body is no JSON")
    })
    return yield* Effect.mapError(Schema.decodeUnknown(schema, { onExcessProperty: "error", errors: "all" })(content), (error) =>
      badRequest(parseErrorToString(error))
    )
  })

/** The query's parameters; refused where there is one too many. */
export const query = <A, I extends Readonly<Record<string, string | undefined>>>(fields: Schema.Schema<A, I>) =>
  Effect.mapError(HttpServerRequest.schemaSearchParams(fields, { onExcessProperty: "error", errors: "all" }), (error) =>
    badRequest(parseErrorToString(error))
  )

/** Parameter of lists: how many at most. */
export const limit = (fallback: number, max: number) =>
  Schema.optionalWith(Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, max)), { default: () => fallback })

/** Parameter of everything that lives in a tenant. */
export const tenantField = Schema.optionalWith(Schema.String, { default: () => defaultTenant as string })

/** The tenant that a request is about; there must be one. */
export const tenant = Effect.flatMap(query(Schema.Struct({ tenant: tenantField })), (parameters) =>
  knownTenant(parameters.tenant)
)

export const knownTenant = (tenantId: string): Effect.Effect<string, AdminError, Metadata> =>
  Effect.flatMap(Metadata, (metadata) =>
    metadata.image().tenantsById.has(tenantId)
      ? Effect.succeed(tenantId)
      : Effect.fail(new AdminError({ status: 404, error: "UnknownTenant", message: `there is no tenant ${tenantId}` }))
  )

/** The space of a tenant that is there; asking for another one must not make it. */
export const spaceOf = (
  messaging: typeof Messaging.Service,
  tenantId: string
): Effect.Effect<TenantSpace, AdminError, Metadata> =>
  Effect.gen(function* () {
    yield* knownTenant(tenantId)
    return yield* Effect.mapError(
      messaging.space(tenantId),
      (error) => new AdminError({ status: 503, error: error._tag, message: error.message })
    )
  })

/** Records a change that was made through the API. */
export const audited = (tenantId: string, change: string, target: string): Effect.Effect<void, never, Audit> =>
  Effect.map(Audit, (audit) => audit.record({ kind: "admin-change", tenant: tenantId, by: "admin API", change, target }))

/** A part of the path, decoded. */
export const pathPart = (name: string): Effect.Effect<string, never, HttpRouter.RouteContext> =>
  Effect.map(HttpRouter.params, (params) => params[name] ?? "")

export const ok = (value: unknown) => HttpServerResponse.unsafeJson(value)
export const created = (value: unknown) => HttpServerResponse.unsafeJson(value, { status: 201 })
export const done = HttpServerResponse.empty({ status: 204 })

export const errorResponse = (error: AdminError) =>
  HttpServerResponse.unsafeJson(
    { error: error.error, message: error.message },
    // The rest of a body that was not read must not be taken for the next request.
    { status: error.status, ...(error.status === 413 ? { headers: { connection: "close" } } : {}) }
  )

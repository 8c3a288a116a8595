/**
 * The port that says which tenant a client belongs to, before anybody looks at its password. Without it a client is in the tenant of
 * the listener. Adapter: `layer` (tenants in metadata).
 *
 * - The user name `<tenant>:<user>` asks for a tenant, as RabbitMQ's MQTT clients ask for a virtual host. No tenant has a colon in
 *   its name, so the first one divides.
 * - Where there is no such tenant the whole may be the name of a user of the listener's tenant (none is added with a colon any more,
 *   some were); else the client is refused: who
 *   mistypes a tenant must not find itself in another one.
 * - A certificate speaks for users of the listener's tenant only: whoever asks for another tenant needs a password there.
 * - A client of a tenant that does not exist is refused, also where the listener is of that tenant.
 */
import { liveOf, type Options } from "@effectmq/schemas/config/Live"
import { Metadata } from "@effectmq/metadata/Metadata"
import { userOf } from "@effectmq/metadata/core/Image"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Audit } from "./Audit.js"
import { AuthenticationFailed, type Credentials } from "./Authenticator.js"

export interface TenancyService {
  /** The credentials as the tenant's authenticator is to see them. Refusals (`not-authorized`) are recorded. */
  locate(credentials: Credentials): Credentials | AuthenticationFailed
}

export class Tenancy extends Context.Tag("@effectmq/security/Tenancy")<Tenancy, TenancyService>() {}

export interface TenancyOptions {
  /** Whether a client may ask for a tenant by its user name; default true. */
  readonly tenantInUsername?: boolean
}

/** undefined: no tenant is asked for. */
const parseUsername = (username: string | undefined): { readonly tenant: string; readonly user: string } | undefined => {
  const colon = username?.indexOf(":") ?? -1
  return username === undefined || colon < 1 ? undefined : { tenant: username.slice(0, colon), user: username.slice(colon + 1) }
}

export const layer = (given: Options<TenancyOptions> = {}): Layer.Layer<Tenancy, never, Metadata | Audit> =>
  Layer.effect(
    Tenancy,
    Effect.gen(function* () {
      const metadata = yield* Metadata
      const audit = yield* Audit
      const options = liveOf(given)

      const refuse = ({ tenant, username, clientId, address }: Credentials): AuthenticationFailed => {
        const reason = "unknown-tenant"
        audit.record({ kind: "login-failed", subject: { tenant, user: username, clientId, address }, reason })
        return new AuthenticationFailed({ reason: "not-authorized", message: "there is no such tenant" })
      }

      return {
        locate: (credentials) => {
          const image = metadata.image()
          const { tenant, username, certificateCommonName } = credentials
          const asked = (options.current.tenantInUsername ?? true) ? parseUsername(username) : undefined
          if (asked !== undefined && image.tenantsById.has(asked.tenant)) {
            const isElsewhere = asked.tenant !== tenant
            return {
              ...credentials,
              tenant: asked.tenant,
              username: asked.user,
              certificateCommonName: isElsewhere ? undefined : certificateCommonName
            }
          }
          if (!image.tenantsById.has(tenant)) return refuse(credentials)
          if (asked !== undefined && userOf(image, tenant, username as string) === undefined) return refuse(credentials)
          return credentials
        }
      }
    })
  )

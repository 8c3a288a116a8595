/**
 * Says what a client may do by the ACL rules in metadata; what they mean is in `core/AclRules`.
 *
 * Decisions are remembered per client and topic, up to a bound, and forgotten when the tenant's rules, its default or the user
 * change: a change of the rules holds from the next packet on. Superusers may do everything.
 */
import { type Live, liveOf, type Options } from "@effectmq/schemas/config/Live"
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import type { AclEffect, Tenant } from "@effectmq/schemas/metadata/Tenant"
import type { User } from "@effectmq/schemas/metadata/User"
import { Metadata, type MetadataService } from "@effectmq/metadata/Metadata"
import { aclRulesOf, type Image, userOf } from "@effectmq/metadata/core/Image"
import { type Counter, Meters } from "@effectmq/metrics/Meters"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Audit, type AuditService } from "./Audit.js"
import { Authorizer, type Permissions, type Subject } from "./Authorizer.js"
import { AclRules, deliveredFilter, judgePublish, judgeSubscribe, publishedTopic, type SubjectRule } from "./core/AclRules.js"
import { DecisionCache } from "./core/DecisionCache.js"

export interface AclAuthorizerOptions {
  /** What holds where no rule matches and the tenant has not decided otherwise. */
  readonly defaultEffect: AclEffect
  /** Decisions remembered per client, for publish with and without retain, each; default 64. */
  readonly decisionsMax?: number
}

const decisionsMaxDefault = 64

/** What all permissions of one authorizer share. */
interface Shared {
  readonly metadata: MetadataService
  readonly audit: AuditService
  readonly deniedPublishes: Counter
  readonly deniedSubscribes: Counter
  readonly options: Live<AclAuthorizerOptions>
  readonly decisionsMax: number
  /** Made once per list of rules; the list is a new one when a rule changes. */
  readonly compiledByRules: WeakMap<ReadonlyArray<AclRule>, AclRules>
}

const compiled = (shared: Shared, rules: ReadonlyArray<AclRule>): AclRules => {
  const known = shared.compiledByRules.get(rules)
  if (known !== undefined) return known
  const made = new AclRules(rules)
  shared.compiledByRules.set(rules, made)
  return made
}

class AclPermissions implements Permissions {
  private image: Image | undefined
  private options: AclAuthorizerOptions | undefined
  private rulesOfTenant: ReadonlyArray<AclRule> | undefined
  private tenant: Tenant | undefined
  private user: User | undefined
  private rules: ReadonlyArray<SubjectRule> = []
  private superuser = false
  private allowedByDefault = false
  private readonly plain: DecisionCache
  private readonly retained: DecisionCache

  constructor(
    private readonly shared: Shared,
    private readonly subject: Subject
  ) {
    this.plain = new DecisionCache(shared.decisionsMax)
    this.retained = new DecisionCache(shared.decisionsMax)
  }

  publish(topic: string, retain: boolean): boolean {
    this.follow()
    if (this.superuser) return true
    const cache = retain ? this.retained : this.plain
    let allowed = cache.get(topic)
    if (allowed === undefined) {
      const verdict = judgePublish(this.rules, publishedTopic(topic), retain, this.allowedByDefault)
      allowed = verdict.allowed
      cache.set(topic, allowed)
      if (!allowed) this.denied("publish", topic, verdict.rule)
    }
    if (!allowed) this.shared.deniedPublishes.value += 1
    return allowed
  }

  subscribe(filter: string): boolean {
    this.follow()
    if (this.superuser) return true
    const verdict = judgeSubscribe(this.rules, deliveredFilter(filter), this.allowedByDefault)
    if (!verdict.allowed) {
      this.shared.deniedSubscribes.value += 1
      this.denied("subscribe", filter, verdict.rule)
    }
    return verdict.allowed
  }

  /** Takes over what changed in the metadata since the last call; costs one comparison where nothing did. */
  private follow(): void {
    const image = this.shared.metadata.image()
    const options = this.shared.options.current
    if (image === this.image && options === this.options) return
    const sameOptions = options === this.options
    this.image = image
    this.options = options
    const { principal } = this.subject
    const rulesOfTenant = aclRulesOf(image, principal.tenant)
    const tenant = image.tenantsById.get(principal.tenant)
    const user = principal.user === undefined ? undefined : userOf(image, principal.tenant, principal.user)
    // A tenant without rules has a new empty list each time.
    const sameRules = rulesOfTenant === this.rulesOfTenant || (rulesOfTenant.length === 0 && this.rulesOfTenant?.length === 0)
    if (sameOptions && sameRules && tenant === this.tenant && user === this.user) return
    this.rulesOfTenant = rulesOfTenant
    this.tenant = tenant
    this.user = user
    this.allowedByDefault = (tenant?.aclDefault ?? options.defaultEffect) === "allow"
    // A right that was taken away is gone at once; one that was given holds from the next login.
    this.superuser = principal.superuser && (user === undefined || user.superuser)
    const { address, clientId } = this.subject
    this.rules =
      rulesOfTenant.length === 0 ? [] : compiled(this.shared, rulesOfTenant).of({ user: principal.user, clientId, address })
    this.plain.clear()
    this.retained.clear()
  }

  private denied(action: "publish" | "subscribe", target: string, rule: AclRule | undefined): void {
    const { address, clientId, principal } = this.subject
    const subject = { tenant: principal.tenant, user: principal.user, clientId, address }
    this.shared.audit.record({ kind: "denied", subject, action, target, ruleId: rule?.id })
  }
}

export const layer = (given: Options<AclAuthorizerOptions>): Layer.Layer<Authorizer, never, Metadata | Audit | Meters> =>
  Layer.effect(
    Authorizer,
    Effect.gen(function* () {
      const options = liveOf(given)
      const meters = yield* Meters
      const denied = (action: string) =>
        meters.counter("effectmq_authorization_denied_total", "Actions that ACL rules denied.", { action })
      const shared: Shared = {
        metadata: yield* Metadata,
        audit: yield* Audit,
        deniedPublishes: denied("publish"),
        deniedSubscribes: denied("subscribe"),
        options,
        decisionsMax: options.current.decisionsMax ?? decisionsMaxDefault,
        compiledByRules: new WeakMap()
      }
      return { permissions: (subject) => new AclPermissions(shared, subject) }
    })
  )

const everything: Permissions = { publish: () => true, subscribe: () => true }

/** Everybody may do everything. */
export const layerAllowAll: Layer.Layer<Authorizer> = Layer.succeed(Authorizer, { permissions: () => everything })

import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import { Meters } from "@effectmq/metrics/Meters"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FastCheck from "fast-check"
import * as AclAuthorizer from "../src/AclAuthorizer.js"
import type { AuditEvent } from "../src/Audit.js"
import * as AuditLog from "../src/AuditLog.js"
import { Authorizer, type AuthorizerService, type Subject } from "../src/Authorizer.js"
import { AclRules, judgePublish, judgeSubscribe, substitute } from "../src/core/AclRules.js"
import { intersects, matches } from "../src/core/FilterRelation.js"
import { rule, TestMetadata } from "./support/TestMetadata.js"

const subject = (parts: Partial<Subject> = {}, user: string | undefined = "anna", superuser = false): Subject => ({
  principal: { tenant: "default", user, superuser },
  clientId: "c1",
  address: "192.0.2.7",
  ...parts
})

const world = (defaultEffect: "allow" | "deny" = "deny") => {
  const metadata = new TestMetadata()
  const audit: Array<AuditEvent> = []
  const run = (test: (authorizer: AuthorizerService, meters: typeof Meters.Service) => void) =>
    Effect.gen(function* () {
      test(yield* Authorizer, yield* Meters)
    }).pipe(
      Effect.provide(
        AclAuthorizer.layer({ defaultEffect, decisionsMax: 4 }).pipe(
          Layer.provide([metadata.layer, AuditLog.layerMemory(audit)]),
          Layer.provideMerge(PrometheusMeters.layerMemory)
        )
      )
    )
  return { metadata, audit, run }
}

describe("AclAuthorizer", () => {
  it.effect("the first rule that applies decides, else the default", () => {
    const { metadata, run } = world()
    metadata.setRules([
      rule("deny", "publish", "a/secret"),
      rule("allow", "publish", "a/#"),
      rule("allow", "subscribe", "b/+"),
      rule("allow", "all", "c")
    ])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      expect(permissions.publish("a/secret", false)).toBe(false)
      expect(permissions.publish("a/x", false)).toBe(true)
      expect(permissions.publish("a", true)).toBe(true)
      expect(permissions.publish("b/x", false)).toBe(false)
      expect(permissions.publish("c", false)).toBe(true)
      expect(permissions.subscribe("b/x")).toBe(true)
      expect(permissions.subscribe("b/+")).toBe(true)
      expect(permissions.subscribe("b/#")).toBe(false)
      expect(permissions.subscribe("c")).toBe(true)
      expect(permissions.subscribe("a/x")).toBe(false)
    })
  })

  it.effect("a subscription is judged on its filter: allow must cover it, deny need only touch it", () => {
    const { metadata, run } = world("allow")
    metadata.setRules([
      rule("allow", "subscribe", "a/b"),
      rule("deny", "subscribe", "a/+/secret"),
      rule("deny", "subscribe", "a/b")
    ])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      expect(permissions.subscribe("a/b")).toBe(true)
      expect(permissions.subscribe("a/+")).toBe(false)
      expect(permissions.subscribe("a/#")).toBe(false)
      expect(permissions.subscribe("#")).toBe(false)
      expect(permissions.subscribe("a/c")).toBe(true)
      expect(permissions.subscribe("+/x/+")).toBe(false)
      expect(permissions.subscribe("b/#")).toBe(true)
      // A `$share` or `$exclusive` subscription delivers the same messages.
      expect(permissions.subscribe("$share/group/a/x/secret")).toBe(false)
      expect(permissions.subscribe("$share/group/b")).toBe(true)
      expect(permissions.subscribe("$exclusive/a/x/secret")).toBe(false)
    })
  })

  it.effect("a delayed publish is judged on where it goes", () => {
    const { metadata, run } = world("allow")
    metadata.setRules([rule("deny", "publish", "a/#")])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      expect(permissions.publish("$delayed/10/a/b", false)).toBe(false)
      expect(permissions.publish("$delayed/10/b", false)).toBe(true)
    })
  })

  it.effect("rules are for users, clients and addresses, all of what is given", () => {
    const { metadata, run } = world()
    metadata.setRules([
      rule("allow", "publish", "user", { who: { user: "anna" } }),
      rule("allow", "publish", "client", { who: { clientId: "c1" } }),
      rule("allow", "publish", "net", { who: { address: "192.0.2.0/24" } }),
      rule("allow", "publish", "both", { who: { user: "anna", clientId: "c2" } }),
      rule("allow", "publish", "six", { who: { address: "2001:db8::/32" } })
    ])
    return run((authorizer) => {
      const may = (who: Subject) =>
        ["user", "client", "net", "both", "six"].filter((topic) => authorizer.permissions(who).publish(topic, false))
      expect(may(subject())).toEqual(["user", "client", "net"])
      expect(may(subject({ clientId: "c2" }))).toEqual(["user", "net", "both"])
      expect(may(subject({ clientId: "c2", address: "::ffff:192.0.3.1" }, "bert"))).toEqual([])
      expect(may(subject({ clientId: "c3", address: "::ffff:192.0.2.1" }, "bert"))).toEqual(["net"])
      expect(may(subject({ clientId: "c3", address: "2001:db8:1::1" }, "bert"))).toEqual(["six"])
      // Anonymous, though its client id is a user's name.
      const anonymous = {
        principal: { tenant: "default", user: undefined, superuser: false },
        clientId: "anna",
        address: "10.0.0.1"
      }
      expect(may(anonymous)).toEqual([])
    })
  })

  it.effect("an address that cannot be compared is denied and never allowed", () => {
    const { metadata, run } = world()
    metadata.setRules([
      rule("deny", "publish", "d", { who: { address: "10.0.0.0/8" } }),
      rule("allow", "publish", "d"),
      rule("allow", "publish", "a", { who: { address: "0.0.0.0/0" } })
    ])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject({ address: "unix" }))
      expect(permissions.publish("d", false)).toBe(false)
      expect(permissions.publish("a", false)).toBe(false)
    })
  })

  it.effect("a rule may be for retained publishes only, or for others only", () => {
    const { metadata, run } = world()
    metadata.setRules([
      rule("deny", "all", "a", { retain: true }),
      rule("allow", "all", "a"),
      rule("allow", "all", "b", { retain: false })
    ])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      expect(permissions.publish("a", true)).toBe(false)
      expect(permissions.publish("a", false)).toBe(true)
      expect(permissions.subscribe("a")).toBe(true)
      expect(permissions.publish("b", false)).toBe(true)
      expect(permissions.publish("b", true)).toBe(false)
      expect(permissions.subscribe("b")).toBe(false)
    })
  })

  it.effect("puts names into filters, and not where a name would widen the rule", () => {
    const { metadata, run } = world()
    metadata.setRules([rule("allow", "all", "c/%c/#"), rule("allow", "all", "u/%u"), rule("allow", "all", "%u/#")])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      expect(permissions.publish("c/c1/x", false)).toBe(true)
      expect(permissions.subscribe("c/c1/#")).toBe(true)
      expect(permissions.publish("c/c2/x", false)).toBe(false)
      expect(permissions.subscribe("c/+/#")).toBe(false)
      expect(permissions.publish("u/anna", false)).toBe(true)
      expect(permissions.publish("anna/x", false)).toBe(true)
      for (const hostile of ["+", "#", "c2/x", "/", "c2/#", "\u0000"]) {
        const client = authorizer.permissions(subject({ clientId: hostile }, hostile))
        expect(client.publish("c/c2/x", false), hostile).toBe(false)
        expect(client.subscribe("c/c2/x"), hostile).toBe(false)
        expect(client.subscribe("c/#"), hostile).toBe(false)
        expect(client.subscribe(`c/${hostile}/#`), hostile).toBe(false)
        expect(client.publish("u/anna", false), hostile).toBe(false)
      }
      expect(authorizer.permissions(subject({}, "$SYS")).subscribe("$SYS/#")).toBe(false)
      const anonymous = { principal: { tenant: "default", user: undefined, superuser: false }, clientId: "c9", address: "::1" }
      expect(authorizer.permissions(anonymous).publish("u/undefined", false)).toBe(false)
      expect(authorizer.permissions(anonymous).publish("u/", false)).toBe(false)
      expect(authorizer.permissions(anonymous).publish("c/c9", false)).toBe(true)
    })
  })

  it.effect("follows changes of rules, default and user", () => {
    const { metadata, run } = world("deny")
    metadata.putUser("anna", { superuser: true })
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      const superuser = authorizer.permissions(subject({}, "anna", true))
      expect(permissions.publish("a", false)).toBe(false)
      expect(superuser.publish("a", false)).toBe(true)
      expect(superuser.subscribe("#")).toBe(true)
      metadata.setRules([rule("allow", "all", "a")])
      expect(permissions.publish("a", false)).toBe(true)
      metadata.setRules([rule("deny", "all", "a")])
      expect(permissions.publish("a", false)).toBe(false)
      metadata.setRules([])
      metadata.setDefault("allow")
      expect(permissions.publish("a", false)).toBe(true)
      metadata.setDefault(undefined)
      expect(permissions.publish("a", false)).toBe(false)
      metadata.putUser("anna", { superuser: false })
      expect(superuser.publish("a", false)).toBe(false)
    })
  })

  it.effect("records and counts what it denies, once per topic", () => {
    const { audit, metadata, run } = world()
    const denial = rule("deny", "publish", "a")
    metadata.setRules([denial])
    return run((authorizer, meters) => {
      const permissions = authorizer.permissions(subject())
      for (let i = 0; i < 5; i++) permissions.publish("a", false)
      permissions.subscribe("b")
      const who = { tenant: "default", user: "anna", clientId: "c1", address: "192.0.2.7" }
      expect(audit).toEqual([
        { kind: "denied", subject: who, action: "publish", target: "a", ruleId: denial.id },
        { kind: "denied", subject: who, action: "subscribe", target: "b", ruleId: undefined }
      ])
      expect(meters.snapshot().get('effectmq_authorization_denied_total{action="publish"}')).toBe(5)
      expect(meters.snapshot().get('effectmq_authorization_denied_total{action="subscribe"}')).toBe(1)
    })
  })

  it.effect("remembers a bounded number of topics and stays right", () => {
    const { metadata, run } = world()
    metadata.setRules([rule("allow", "publish", "even/+"), rule("deny", "publish", "odd/+")])
    return run((authorizer) => {
      const permissions = authorizer.permissions(subject())
      for (let i = 0; i < 100; i++) {
        expect(permissions.publish(`even/${i % 7}`, i % 3 === 0)).toBe(true)
        expect(permissions.publish(`odd/${i % 7}`, i % 3 === 0)).toBe(false)
      }
    })
  })

  it.effect("layerAllowAll allows all", () =>
    Effect.gen(function* () {
      const permissions = (yield* Authorizer).permissions(subject())
      expect(permissions.publish("a", true)).toBe(true)
      expect(permissions.subscribe("#")).toBe(true)
    }).pipe(Effect.provide(AclAuthorizer.layerAllowAll))
  )
})

describe("AclRules", () => {
  const level = FastCheck.constantFrom("a", "b", "+", "%c", "%u", "$s")
  const filter = FastCheck.tuple(FastCheck.array(level, { minLength: 1, maxLength: 3 }), FastCheck.boolean()).map(
    ([levels, open]) => [...levels, ...(open ? ["#"] : [])].join("/")
  )
  const name = FastCheck.constantFrom("a", "b", "+", "#", "a/b", "$s", "anna")
  const who = FastCheck.record(
    { user: name, clientId: name, address: FastCheck.constantFrom("10.0.0.0/8", "10.1.1.1", "nonsense") },
    { requiredKeys: [] }
  )
  const aclRule = FastCheck.record(
    {
      tenant: FastCheck.constant("default"),
      id: FastCheck.constant("r"),
      position: FastCheck.constant(0),
      effect: FastCheck.constantFrom("allow" as const, "deny" as const),
      who,
      action: FastCheck.constantFrom("publish" as const, "subscribe" as const, "all" as const),
      retain: FastCheck.boolean(),
      filter
    },
    { requiredKeys: ["tenant", "id", "position", "effect", "who", "action", "filter"] }
  ) as FastCheck.Arbitrary<AclRule>
  const client = FastCheck.record({
    user: FastCheck.option(name, { nil: undefined }),
    clientId: name,
    address: FastCheck.constantFrom("10.1.1.1", "10.2.2.2", "192.0.2.1")
  })
  const topic = FastCheck.array(FastCheck.constantFrom("a", "b", "c", "$s"), { minLength: 1, maxLength: 4 }).map((levels) =>
    levels.join("/")
  )

  it("a subscription that is let in never matches a topic that an earlier rule denies", () => {
    // Reading is judged per topic by the same rules as a subscription to that one topic.
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(aclRule, { maxLength: 6 }),
        client,
        filter,
        topic,
        FastCheck.boolean(),
        (rules, who, wanted, t, byDefault) => {
          const mine = new AclRules(rules).of(who)
          const subscription = wanted.replace(/%[cu]/g, "a")
          if (!judgeSubscribe(mine, subscription, byDefault).allowed || !matches(subscription, t)) return
          expect(judgeSubscribe(mine, t, byDefault).allowed).toBe(true)
        }
      ),
      { numRuns: 5000 }
    )
  })

  it("the rules of a client are those that a plain walk over all rules finds, in order", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(aclRule, { maxLength: 12 }),
        client,
        topic,
        FastCheck.boolean(),
        (rules, who, t, retain) => {
          const plain = (): boolean => {
            for (const one of rules) {
              if (one.who.user !== undefined && one.who.user !== who.user) continue
              if (one.who.clientId !== undefined && one.who.clientId !== who.clientId) continue
              if (one.who.address === "nonsense" && one.effect === "allow") continue
              if (one.who.address === "10.0.0.0/8" && !who.address.startsWith("10.")) continue
              if (one.who.address === "10.1.1.1" && who.address !== "10.1.1.1") continue
              if (one.action === "subscribe" || (one.retain ?? retain) !== retain) continue
              const own = substitute(one.filter, who)
              if (own !== undefined && matches(own, t)) return one.effect === "allow"
            }
            return false
          }
          expect(judgePublish(new AclRules(rules).of(who), t, retain, false).allowed).toBe(plain())
        }
      ),
      { numRuns: 5000 }
    )
  })

  it("a name put into a filter never matches more than the name's own level", () => {
    FastCheck.assert(
      FastCheck.property(filter, FastCheck.string({ maxLength: 4 }), topic, (template, clientId, t) => {
        const own = substitute(template, { user: clientId, clientId, address: "" })
        if (own === undefined) return
        expect(own.split("/").length).toBe(template.split("/").length)
        if (matches(own, t)) expect(matches(template.replace(/%[cu]/g, "+"), t)).toBe(true)
        expect(intersects(own, template.replace(/%[cu]/g, "+"))).toBe(true)
      })
    )
  })
})

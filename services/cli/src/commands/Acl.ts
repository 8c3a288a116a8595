/**
 * `effectmq acl`: who may publish and subscribe what.
 */
import { AclView } from "@effectmq/schemas/admin/Acl"
import { AclAction, AclRule } from "@effectmq/schemas/metadata/AclRule"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { adminOptions, call } from "../AdminClient.js"
import { done, json, line, table } from "../Output.js"

const optional = (name: string, description: string) =>
  Options.text(name).pipe(Options.withDescription(description), Options.optional)

const whoToString = (rule: AclRule): string => {
  const parts = Object.entries(rule.who).filter(([, value]) => value !== undefined)
  return parts.length === 0 ? "everybody" : parts.map(([name, value]) => `${name} ${value}`).join(", ")
}

const add = Command.make(
  "add",
  {
    effect: Args.choice([["allow", "allow"] as const, ["deny", "deny"] as const], { name: "allow|deny" }),
    action: Args.choice(
      AclAction.literals.map((action) => [action, action] as const) as [["publish", "publish"], ...Array<["all", "all"]>],
      { name: "publish|subscribe|all" }
    ),
    filter: Args.text({ name: "filter" }).pipe(
      Args.withDescription("topic filter with + and #; %c is the client id, %u the user")
    ),
    user: optional("user", "only for this user"),
    clientId: optional("client-id", "only for this client id"),
    address: optional("address", "only for this address or block"),
    retain: Options.choice("retain", ["true", "false"]).pipe(
      Options.withDescription("only for publishes with or without the retain flag"),
      Options.optional
    ),
    position: Options.integer("position").pipe(
      Options.withDescription("rules are tried in this order; default: last"),
      Options.optional
    ),
    id: optional("id", "name of the rule; a rule of that name is replaced"),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      const body = {
        effect: options.effect,
        action: options.action,
        filter: options.filter,
        who: {
          user: Option.getOrUndefined(options.user),
          clientId: Option.getOrUndefined(options.clientId),
          address: Option.getOrUndefined(options.address)
        },
        retain: Option.getOrUndefined(Option.map(options.retain, (retain) => retain === "true")),
        position: Option.getOrUndefined(options.position)
      }
      const rule = yield* Option.match(options.id, {
        onNone: () => call(options, { method: "POST", path: ["acl", "rules"], body }, AclRule),
        onSome: (id) => call(options, { method: "PUT", path: ["acl", "rules", id], body }, AclRule)
      })
      yield* done(options.json, `Rule ${rule.id} is set at position ${rule.position}.`, rule)
    })
).pipe(Command.withDescription("add a rule"))

const listRules = Command.make("list", adminOptions, (options) =>
  Effect.gen(function* () {
    const view = yield* call(options, { path: ["acl"] }, AclView)
    if (options.json) return yield* json(view)
    const rows = view.rules.map((rule) => [
      rule.position,
      rule.id,
      rule.effect,
      rule.action,
      rule.filter,
      rule.retain,
      whoToString(rule)
    ])
    yield* line(table(["position", "id", "effect", "action", "filter", "retain", "who"], rows))
    yield* line(`Where no rule matches: ${view.default} (${view.defaultFrom === "acl" ? "set here" : "by auth.defaultAcl"}).`)
  })
).pipe(Command.withDescription("list rules in the order in which they are tried"))

const deleteRule = Command.make("delete", { id: Args.text({ name: "id" }), ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["acl", "rules", options.id] }, Schema.Undefined),
    done(options.json, `Rule ${options.id} is deleted.`)
  )
).pipe(Command.withDescription("delete a rule"))

const setDefault = Command.make(
  "default",
  {
    effect: Args.choice([["allow", "allow"] as const, ["deny", "deny"] as const, ["configuration", null] as const], {
      name: "allow|deny|configuration"
    }),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      const view = yield* call(options, { method: "PUT", path: ["acl", "default"], body: { effect: options.effect } }, AclView)
      yield* done(options.json, `Where no rule matches: ${view.default}.`, view)
    })
).pipe(Command.withDescription("what holds where no rule matches"))

export const acl = Command.make("acl").pipe(
  Command.withDescription("who may publish and subscribe what"),
  Command.withSubcommands([add, listRules, deleteRule, setDefault])
)

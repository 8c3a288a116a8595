/**
 * `effectmq user`: who may connect. Works on a running broker, also for its first user.
 */
import process from "node:process"
import { UserList, UserSummary } from "@effectmq/schemas/admin/Users"
import { UserName } from "@effectmq/schemas/Ids"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { adminOptions, call } from "../AdminClient.js"
import { failed, usage } from "../CliFailure.js"
import { date, done, list } from "../Output.js"

const isUserName = Schema.is(UserName)

const name = Args.text({ name: "name" }).pipe(Args.withDescription("name of the user"))

const passwordOptions = {
  password: Options.redacted("password").pipe(
    Options.withDescription("the password; others on this machine may see it: rather use --password-stdin or be asked"),
    Options.optional
  ),
  passwordStdin: Options.boolean("password-stdin").pipe(Options.withDescription("read the password from standard input"))
}

interface PasswordChoice {
  readonly password: Option.Option<Redacted.Redacted>
  readonly passwordStdin: boolean
}

const readStdin = Effect.tryPromise({
  try: async () => {
    const chunks: Array<Buffer> = []
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
      .toString("utf8")
      .replace(/\r?\n$/, "")
  },
  catch: (error) => failed(`standard input cannot be read: ${String(error)}`)
})

const askedFor = Effect.gen(function* () {
  const Prompt = yield* Effect.promise(() => import("@effect/cli/Prompt"))
  const first = Redacted.value(yield* Prompt.password({ message: "Password" }))
  const second = Redacted.value(yield* Prompt.password({ message: "Again" }))
  return first === second ? first : yield* Effect.fail(usage("the passwords are not the same"))
}).pipe(Effect.catchTag("QuitException", () => Effect.fail(failed("given up"))))

/** Before the broker is asked for anything. */
const oneAtMost = ({ password, passwordStdin }: PasswordChoice) =>
  Option.isSome(password) && passwordStdin ? Effect.fail(usage("give --password or --password-stdin, not both")) : Effect.void

const passwordOf = (choice: PasswordChoice) =>
  Effect.gen(function* () {
    if (Option.isSome(choice.password)) return Redacted.value(choice.password.value)
    if (choice.passwordStdin) return yield* readStdin
    if (process.stdin.isTTY === true) return yield* askedFor
    return yield* Effect.fail(usage("give the password with --password-stdin or --password"))
  })

const add = Command.make(
  "add",
  {
    name,
    ...passwordOptions,
    superuser: Options.boolean("superuser").pipe(Options.withDescription("no ACL rule applies to this user")),
    ...adminOptions
  },
  (options) =>
    Effect.gen(function* () {
      if (!isUserName(options.name)) {
        return yield* Effect.fail(usage("a user's name has 1 to 256 characters, none of them a colon or a control character"))
      }
      yield* oneAtMost(options)
      const known = yield* call(options, { path: ["users"] }, UserList)
      if (known.some((user) => user.name === options.name)) {
        return yield* Effect.fail(failed(`user ${options.name} is known already: see effectmq user passwd`))
      }
      const body = { password: yield* passwordOf(options), superuser: options.superuser }
      const user = yield* call(options, { method: "PUT", path: ["users", options.name], body }, UserSummary)
      yield* done(options.json, `User ${user.name} is added.`, user)
      if (known.length === 0 && !options.json) {
        yield* done(
          false,
          "It is the first one: clients now need a name and password. Restart the broker to let it listen beyond this machine."
        )
      }
    })
).pipe(Command.withDescription("add a user"))

const passwd = Command.make("passwd", { name, ...passwordOptions, ...adminOptions }, (options) =>
  Effect.gen(function* () {
    yield* oneAtMost(options)
    yield* call(options, { path: ["users", options.name] }, UserSummary)
    const body = { password: yield* passwordOf(options) }
    const user = yield* call(options, { method: "PUT", path: ["users", options.name], body }, UserSummary)
    yield* done(options.json, `User ${user.name} has a new password.`, user)
  })
).pipe(Command.withDescription("change a user's password"))

const listUsers = Command.make("list", adminOptions, (options) =>
  Effect.gen(function* () {
    const users = yield* call(options, { path: ["users"] }, UserList)
    yield* list(options.json, users, ["name", "superuser", "password", "scram", "changed"], (user) => [
      user.name,
      user.superuser,
      user.hasPassword,
      user.hasScram,
      date(user.updatedAtMs)
    ])
  })
).pipe(Command.withDescription("list users"))

const deleteUser = Command.make("delete", { name, ...adminOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "DELETE", path: ["users", options.name] }, Schema.Undefined),
    done(options.json, `User ${options.name} is deleted.`)
  )
).pipe(Command.withDescription("delete a user"))

export const user = Command.make("user").pipe(
  Command.withDescription("who may connect"),
  Command.withSubcommands([add, listUsers, passwd, deleteUser])
)

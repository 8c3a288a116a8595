/**
 * `/config`: what the node runs with; and what the cluster's metadata says over what its nodes were started with.
 */
import { PutConfigBody } from "@effectmq/schemas/admin/Config"
import { restartNote } from "@effectmq/schemas/config/AtStart"
import { judgeChange, type StoredValue } from "@effectmq/schemas/config/DynamicSettings"
import { environmentNameOf } from "@effectmq/schemas/config/Settings"
import { defaultTenant } from "@effectmq/schemas/Ids"
import { Controller, stamp } from "@effectmq/metadata/Controller"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { runningEntries } from "../ConfigEntries.js"
import { clashes, ServerSettings } from "../ServerSettings.js"
import { AdminError, audited, badRequest, body, notFound, ofMetadata, ok, pathPart } from "./AdminRequest.js"

const entries = Effect.map(ServerSettings, ({ atStart, overlaid }) => runningEntries(atStart, overlaid.current))

const entryOf = (name: string) => Effect.map(entries, (all) => all.find((each) => each.key === name))

const showKey = Effect.gen(function* () {
  const name = yield* pathPart("key")
  const entry = yield* entryOf(name)
  return entry === undefined ? yield* Effect.fail(notFound(`there is no configuration key ${name}`)) : ok(entry)
})

/** The value to keep; refused where it does not fit what this node was started with. */
const judged = (name: string, value: unknown) =>
  Effect.gen(function* () {
    const { atStart } = yield* ServerSettings
    const stored: Iterable<readonly [string, StoredValue]> = (yield* Metadata).image().configByKey.inOrder()
    const verdict = judgeChange(atStart, stored, clashes, name, value)
    if (Either.isRight(verdict)) return verdict.right
    if (verdict.left._tag === "ConfigError") return yield* Effect.fail(badRequest(verdict.left.message))
    return yield* Effect.fail(
      new AdminError({
        status: 409,
        error: "ReadAtStart",
        message:
          `${name} is read when a node starts: ${verdict.left.reason}. It needs a restart: ` +
          `set it in the file, as ${environmentNameOf(name)} or with --set, and start the node again` +
          (restartNote(name) === undefined ? "" : `. ${restartNote(name)}`)
      })
    )
  })

const setKey = Effect.gen(function* () {
  const name = yield* pathPart("key")
  const wished = yield* body(PutConfigBody)
  const value = yield* judged(name, wished.value ?? null)
  if (value === undefined) return yield* Effect.die(new Error("a judged value is a value"))
  const command = { _tag: "SetConfig", ...(yield* stamp), key: name, value } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(defaultTenant, "config-set", name)
  return ok(yield* entryOf(name))
})

/** Answers with what holds instead; with nothing where the key is of another version. */
const unsetKey = Effect.gen(function* () {
  const name = yield* pathPart("key")
  yield* judged(name, undefined)
  const command = { _tag: "UnsetConfig", ...(yield* stamp), key: name } as const
  yield* Effect.mapError((yield* Controller).submit(command), ofMetadata)
  yield* audited(defaultTenant, "config-unset", name)
  return ok((yield* entryOf(name)) ?? null)
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/config", Effect.map(entries, ok)),
  HttpRouter.get("/config/:key", showKey),
  HttpRouter.put("/config/:key", setKey),
  HttpRouter.del("/config/:key", unsetKey)
)

/**
 * `/config`: what the node runs with.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import { configEntries } from "../ConfigEntries.js"
import { ServerSettings } from "../ServerSettings.js"
import { environmentNameOf, keyNamed } from "@effectmq/schemas/config/Settings"
import { AdminError, notFound, ok, pathPart } from "./AdminRequest.js"

const showKey = Effect.gen(function* () {
  const name = yield* pathPart("key")
  const entry = configEntries(yield* ServerSettings).find((each) => each.key === name)
  return entry === undefined ? yield* Effect.fail(notFound(`there is no configuration key ${name}`)) : ok(entry)
})

const setKey = Effect.gen(function* () {
  const name = yield* pathPart("key")
  if (keyNamed(name) === undefined) return yield* Effect.fail(notFound(`there is no configuration key ${name}`))
  return yield* Effect.fail(
    new AdminError({
      status: 409,
      error: "ReadAtStart",
      message: `${name} is read when the node starts: set it in the file, as ${environmentNameOf(name)} or with --set, and start again`
    })
  )
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/config",
    Effect.map(ServerSettings, (resolved) => ok(configEntries(resolved)))
  ),
  HttpRouter.get("/config/:key", showKey),
  HttpRouter.put("/config/:key", setKey)
)

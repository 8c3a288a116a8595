/**
 * `/config`: what the node runs with.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Effect from "effect/Effect"
import { configEntries } from "../ConfigEntries.js"
import { ServerSettings } from "../ServerSettings.js"
import { notFound, ok, pathPart } from "./AdminRequest.js"

const showKey = Effect.gen(function* () {
  const name = yield* pathPart("key")
  const entry = configEntries(yield* ServerSettings).find((each) => each.key === name)
  return entry === undefined ? yield* Effect.fail(notFound(`there is no configuration key ${name}`)) : ok(entry)
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/config",
    Effect.map(ServerSettings, (resolved) => ok(configEntries(resolved)))
  ),
  HttpRouter.get("/config/:key", showKey)
)

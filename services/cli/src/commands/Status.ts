/**
 * `effectmq status`: what the node is and does.
 */
import { Status } from "@effectmq/schemas/admin/Status"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { call, nodeOptions } from "../AdminClient.js"
import { date, record } from "../Output.js"

const authenticationText = {
  open: "none: only clients of this machine are let in",
  users: "user name and password",
  anonymous: "anonymous clients are let in"
} as const

const mebibyte = 1024 * 1024

export const status = Command.make("status", nodeOptions, (options) =>
  Effect.gen(function* () {
    const answer = yield* call(options, { path: ["status"] }, Status)
    yield* record(options.json, answer, [
      ["node", `${answer.nodeName} (number ${answer.nodeId}), version ${answer.version}`],
      ["phase", answer.phase],
      ["fault", answer.fault],
      ["started", `${date(answer.startedAtMs)}, up ${answer.uptimeSeconds} s, ready after ${answer.startMs} ms`],
      ["data", answer.dataDir],
      ["authentication", authenticationText[answer.authentication]],
      ["memory", `${Math.round(answer.residentMemoryBytes / mebibyte)} MiB`],
      ...answer.listeners.map((listener) => [listener.name, `${listener.host}:${listener.port}`] as const)
    ])
  })
).pipe(Command.withDescription("what the node is and does"))

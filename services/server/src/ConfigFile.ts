/**
 * Reads the configuration: the file (YAML, of which JSON is a part), then the environment and the flags over it.
 */
import { type ConfigError, ConfigFileError } from "@effectmq/schemas/config/ConfigError"
import type { Resolved } from "@effectmq/schemas/config/Settings"
import { resolve } from "@effectmq/schemas/config/Settings"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { parseDocument } from "yaml"

export interface ConfigInput {
  readonly path?: string | undefined
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** `key=value` each. */
  readonly flags?: ReadonlyArray<string>
}

const fileBytesMax = 1024 * 1024

/** YAML to plain values; the first fault is told with its line. */
const parse = (path: string, text: string): Effect.Effect<unknown, ConfigFileError> =>
  Effect.suspend(() => {
    const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true })
    const fault = document.errors[0]
    return fault === undefined
      ? Effect.try({
          // Few aliases: a small file must not grow to a large value.
          try: (): unknown => document.toJS({ maxAliasCount: 100 }),
          catch: (error) => new ConfigFileError({ path, message: `${path}: ${String(error)}` })
        })
      : Effect.fail(new ConfigFileError({ path, message: `${path} is no YAML: ${fault.message}` }))
  })

const whyByReason: { readonly [reason: string]: string } = {
  NotFound: "there is no such file",
  BadResource: "it is no file",
  PermissionDenied: "permission denied"
}

const read = (path: string): Effect.Effect<string, ConfigFileError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const text = yield* files.readFileString(path)
    return text.length > fileBytesMax
      ? yield* Effect.fail(new ConfigFileError({ path, message: `${path} is larger than ${fileBytesMax} bytes` }))
      : text
  }).pipe(
    Effect.catchTags({
      SystemError: (error) => Effect.fail(unreadable(path, whyByReason[error.reason] ?? error.message)),
      BadArgument: (error) => Effect.fail(unreadable(path, error.message))
    })
  )

const unreadable = (path: string, why: string) =>
  new ConfigFileError({ path, message: `the configuration file ${path} cannot be read: ${why}` })

export const load = (input: ConfigInput): Effect.Effect<Resolved, ConfigError | ConfigFileError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const { path, environment = {}, flags = [] } = input
    const file =
      path === undefined ? undefined : { path, content: yield* Effect.flatMap(read(path), (text) => parse(path, text)) }
    return yield* resolve({ file, environment, flags })
  })

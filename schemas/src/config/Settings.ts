/**
 * From file, environment and flags to settings: flags win over environment, environment over file, file over defaults. What the
 * cluster's metadata says goes over all of them: see `DynamicSettings`.
 *
 * Pure: the caller reads the file and the environment. All problems are found at once. A settings value has every key.
 */
import * as Either from "effect/Either"
import { ConfigError } from "./ConfigError.js"
import type { ConfigProblem, Source } from "./ConfigError.js"
import { judge, valueOfText } from "./Key.js"
import type { Key, KeyType } from "./Key.js"
import { keys } from "./Keys.js"
import { nearest } from "./Nearest.js"
import { contradictions } from "./Contradictions.js"

export type Settings = { readonly [Name in keyof typeof keys]: KeyType<(typeof keys)[Name]> }
export type KeyName = keyof Settings

export const keyNames = Object.keys(keys) as ReadonlyArray<KeyName>

const definitions: Readonly<Record<string, Key<unknown>>> = keys as Readonly<Record<string, Key<unknown>>>

/** The definition behind a name; undefined for an unknown one. */
export const keyNamed = (name: string): Key<unknown> | undefined =>
  Object.hasOwn(definitions, name) ? definitions[name] : undefined

const environmentPrefix = "EFFECTMQ_"

/** `mqtt.session.expirySecondsMax` is `EFFECTMQ_MQTT_SESSION_EXPIRY_SECONDS_MAX`. */
export const environmentNameOf = (name: string): string =>
  environmentPrefix +
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/\./g, "_")
    .toUpperCase()

const keyByEnvironmentName: ReadonlyMap<string, KeyName> = new Map(keyNames.map((name) => [environmentNameOf(name), name]))

/** Variables with our prefix that are no configuration keys: the command line reads them. */
export const reservedEnvironmentNames: Readonly<Record<string, string>> = {
  EFFECTMQ_CONFIG: "path of the configuration file, where `--config` is not given",
  EFFECTMQ_ADMIN_URL: "where the command line finds the admin API, for instance http://127.0.0.1:9644",
  EFFECTMQ_MQTT_URL: "where `effectmq pub` and `effectmq sub` find the broker, for instance mqtt://127.0.0.1:1883"
}

export interface SettingsInput {
  /** The parsed configuration file. */
  readonly file?: { readonly path: string; readonly content: unknown } | undefined
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** `key=value` each, as given with `--set`; a later one wins. */
  readonly flags?: ReadonlyArray<string>
}

export interface Resolved {
  readonly settings: Settings
  readonly sources: Readonly<Record<KeyName, Source>>
}

interface Given {
  readonly value: unknown
  readonly source: Source
}

/** What is shown in place of a secret. */
export const mask = "********"

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const unknownKey = (name: string, source: Source, value: unknown): ConfigProblem => {
  const suggestion = nearest(name, keyNames)
  // The value of a mistyped secret is a secret as well.
  const secret = suggestion !== undefined && definitions[suggestion]?.secret === true
  return { key: name, source, value: secret ? mask : value, expected: "a known key", suggestion }
}

const fromFile = (path: string, content: unknown, problems: Array<ConfigProblem>): Map<string, Given> => {
  const given = new Map<string, Given>()
  const source: Source = { kind: "file", name: path }
  const walk = (node: Readonly<Record<string, unknown>>, prefix: string) => {
    for (const [part, value] of Object.entries(node)) {
      const name = prefix === "" ? part : `${prefix}.${part}`
      if (keyNamed(name) !== undefined) {
        if (given.has(name)) problems.push({ key: name, source, value, expected: "the key only once", suggestion: undefined })
        if (value !== null) given.set(name, { value, source })
      } else if (isObject(value)) {
        walk(value, name)
      } else if (value !== null || !keyNames.some((known) => known.startsWith(`${name}.`))) {
        problems.push(unknownKey(name, source, value))
      }
    }
  }
  if (isObject(content)) walk(content, "")
  else if (content !== null && content !== undefined) {
    problems.push({ key: "(file)", source, value: content, expected: "a mapping of keys to values", suggestion: undefined })
  }
  return given
}

const fromEnvironment = (
  environment: Readonly<Record<string, string | undefined>>,
  problems: Array<ConfigProblem>
): Map<string, Given> => {
  const given = new Map<string, Given>()
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !variable.startsWith(environmentPrefix) || Object.hasOwn(reservedEnvironmentNames, variable))
      continue
    const source: Source = { kind: "environment", name: variable }
    const name = keyByEnvironmentName.get(variable)
    if (name !== undefined) {
      given.set(name, { value: valueOfText(keys[name] as Key<unknown>, value), source })
    } else {
      const suggestion = nearest(variable, keyByEnvironmentName.keys())
      const meant = suggestion === undefined ? undefined : keyByEnvironmentName.get(suggestion)
      const secret = meant !== undefined && keys[meant].secret
      problems.push({ key: variable, source, value: secret ? mask : value, expected: "a known key", suggestion })
    }
  }
  return given
}

const fromFlags = (flags: ReadonlyArray<string>, problems: Array<ConfigProblem>): Map<string, Given> => {
  const given = new Map<string, Given>()
  for (const flag of flags) {
    const at = flag.indexOf("=")
    const name = (at < 0 ? flag : flag.slice(0, at)).trim()
    const source: Source = { kind: "flag", name: `--set ${name}` }
    const definition = keyNamed(name)
    const value = flag.slice(at + 1)
    if (at < 0) problems.push({ key: name, source, value: undefined, expected: "key=value", suggestion: undefined })
    else if (definition === undefined) problems.push(unknownKey(name, source, value))
    else given.set(name, { value: valueOfText(definition, value), source })
  }
  return given
}

/** Judges one value of one key, from wherever. */
export const resolveOne = (name: KeyName, value: unknown, source: Source): Either.Either<unknown, ConfigProblem> => {
  const definition = keys[name] as Key<unknown>
  return Either.mapLeft(judge(definition, value), (where) => ({
    key: name,
    source,
    value: definition.secret ? mask : value,
    expected: where === "" ? definition.expected : `${definition.expected} (${where})`,
    suggestion: undefined
  }))
}

export const resolve = (input: SettingsInput): Either.Either<Resolved, ConfigError> => {
  const problems: Array<ConfigProblem> = []
  // A wrong value is reported even where a stronger source hides it.
  const layers = [
    input.file === undefined ? new Map<string, Given>() : fromFile(input.file.path, input.file.content, problems),
    fromEnvironment(input.environment ?? {}, problems),
    fromFlags(input.flags ?? [], problems)
  ]
  const settings: Record<string, unknown> = {}
  const sources: Record<string, Source> = {}
  for (const name of keyNames) {
    settings[name] = keys[name].fallback
    sources[name] = { kind: "default", name: "" }
    for (const layer of layers) {
      const given = layer.get(name)
      if (given === undefined) continue
      const judged = resolveOne(name, given.value, given.source)
      if (Either.isLeft(judged)) problems.push(judged.left)
      else {
        settings[name] = judged.right
        sources[name] = given.source
      }
    }
  }
  if (problems.length > 0) return Either.left(new ConfigError({ problems }))
  const resolved: Resolved = { settings: settings as Settings, sources: sources as Record<KeyName, Source> }
  const clashes = contradictions(resolved)
  return clashes.length > 0 ? Either.left(new ConfigError({ problems: clashes })) : Either.right(resolved)
}

/** Every default. */
export const defaults: Settings = Object.fromEntries(keyNames.map((name) => [name, keys[name].fallback])) as Settings

/** Defaults with some keys set: for tests and for composing in code. */
export const settingsWith = (overrides: Partial<Settings>): Settings => ({ ...defaults, ...overrides })

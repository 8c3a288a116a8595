/**
 * What is wrong with a configuration: every problem at once, each with the key, where the value came from, and what was expected.
 */
import * as Data from "effect/Data"

/** Where a value came from. `name` is the file's path, the variable's name or the flag as written; `dynamic` is the metadata. */
export interface Source {
  readonly kind: "default" | "file" | "environment" | "flag" | "dynamic"
  readonly name: string
}

export const sourceToString = (source: Source): string =>
  source.kind === "default" || source.kind === "dynamic"
    ? source.kind
    : source.kind === "environment"
      ? `environment variable ${source.name}`
      : source.kind === "file"
        ? `file ${source.name}`
        : `flag ${source.name}`

export interface ConfigProblem {
  readonly key: string
  readonly source: Source
  /** As given; a secret is masked. */
  readonly value: unknown
  readonly expected: string
  /** The key that was probably meant. */
  readonly suggestion: string | undefined
}

const shown = (value: unknown): string => {
  const json = JSON.stringify(value) ?? "nothing"
  return json.length > 120 ? `${json.slice(0, 117)}...` : json
}

export const problemToString = (problem: ConfigProblem): string =>
  `${problem.key} = ${shown(problem.value)} (${sourceToString(problem.source)}): expected ${problem.expected}` +
  (problem.suggestion === undefined ? "" : `; did you mean ${problem.suggestion}?`)

export class ConfigError extends Data.TaggedError("ConfigError")<{
  readonly problems: ReadonlyArray<ConfigProblem>
}> {
  override get message(): string {
    return this.problems.map(problemToString).join("\n")
  }
}

/** The configuration file could not be read or is no YAML. */
export class ConfigFileError extends Data.TaggedError("ConfigFileError")<{
  readonly path: string
  readonly message: string
}> {}

/**
 * The settings as rows to show: every key with value, source and words; secrets are masked.
 */
import type { ConfigEntry } from "@effectmq/schemas/admin/Config"
import { atStartReason } from "@effectmq/schemas/config/AtStart"
import { problemToString, sourceToString } from "@effectmq/schemas/config/ConfigError"
import { dynamicSource, type Overlaid } from "@effectmq/schemas/config/DynamicSettings"
import type { KeyName, Resolved } from "@effectmq/schemas/config/Settings"
import { keyNamed, keyNames, mask } from "@effectmq/schemas/config/Settings"

const shown = (name: KeyName, value: unknown): unknown =>
  value === undefined ? null : keyNamed(name)?.secret === true ? mask : value

const entryOf = (name: KeyName, { settings, sources }: Resolved): ConfigEntry => {
  const definition = keyNamed(name)
  return {
    key: name,
    value: shown(name, settings[name]),
    source: sourceToString(sources[name]),
    dynamic: atStartReason(name) === undefined,
    unit: definition?.unit ?? "",
    doc: definition?.doc ?? ""
  }
}

/** What a node would be started with. */
export const configEntries = (resolved: Resolved): ReadonlyArray<ConfigEntry> => keyNames.map((name) => entryOf(name, resolved))

/** What a node runs with: also what it was started with where the metadata hides that, and what it leaves aside of the metadata. */
export const runningEntries = (atStart: Resolved, { ignored, resolved }: Overlaid): ReadonlyArray<ConfigEntry> => {
  const problemByKey = new Map(ignored.map((problem) => [problem.key, problemToString(problem)]))
  const known = keyNames.map((name): ConfigEntry => {
    const hidden = resolved.sources[name].kind === "dynamic"
    const problem = problemByKey.get(name)
    return {
      ...entryOf(name, resolved),
      ...(hidden
        ? { hidden: { value: shown(name, atStart.settings[name]), source: sourceToString(atStart.sources[name]) } }
        : {}),
      ...(problem === undefined ? {} : { problem })
    }
  })
  const unknown = ignored
    .filter(({ key }) => keyNamed(key) === undefined)
    .map(({ key, value }): ConfigEntry => {
      const problem = problemByKey.get(key) ?? ""
      return { key, value, source: sourceToString(dynamicSource), dynamic: true, unit: "", doc: "", problem }
    })
  return [...known, ...unknown]
}

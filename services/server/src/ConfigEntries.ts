/**
 * The settings as rows to show: every key with value, source and words; secrets are masked.
 */
import type { ConfigEntry } from "@effectmq/schemas/admin/Config"
import { sourceToString } from "@effectmq/schemas/config/ConfigError"
import type { Resolved } from "@effectmq/schemas/config/Settings"
import { keyNamed, keyNames, mask } from "@effectmq/schemas/config/Settings"

export const configEntries = ({ settings, sources }: Resolved): ReadonlyArray<ConfigEntry> =>
  keyNames.map((name) => {
    const definition = keyNamed(name)
    const value = settings[name]
    return {
      key: name,
      value: value === undefined ? null : definition?.secret === true ? mask : value,
      source: sourceToString(sources[name]),
      unit: definition?.unit ?? "",
      doc: definition?.doc ?? ""
    }
  })

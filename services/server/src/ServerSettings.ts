/**
 * The settings of this node with their sources: as it was started, and as they are now, with what the cluster's metadata says.
 *
 * They are here before there is any metadata; `ClusterSettings` brings in what that says. A part that can follow a change is given
 * `live`; what only the start reads takes `atStart`.
 */
import { contradictions } from "@effectmq/schemas/config/Contradictions"
import type { ConfigProblem } from "@effectmq/schemas/config/ConfigError"
import type { Overlaid } from "@effectmq/schemas/config/DynamicSettings"
import { type Live, LiveCell } from "@effectmq/schemas/config/Live"
import type { Resolved, Settings } from "@effectmq/schemas/config/Settings"
import { invalidRewriteRule } from "@effectmq/mqtt/features/core/TopicRewrite"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

export interface ServerSettingsService {
  /** As file, environment and flags say. */
  readonly atStart: Resolved
  /** As it is now; and what the metadata says and this node leaves aside. */
  readonly overlaid: LiveCell<Overlaid>
  readonly live: Live<Settings>
}

export class ServerSettings extends Context.Tag("@effectmq/server/ServerSettings")<ServerSettings, ServerSettingsService>() {}

export const make = (atStart: Resolved): ServerSettingsService => {
  const overlaid = new LiveCell<Overlaid>({ resolved: atStart, ignored: [] })
  return { atStart, overlaid, live: overlaid.map(({ resolved }) => resolved.settings) }
}

export const layer = (atStart: Resolved): Layer.Layer<ServerSettings> => Layer.sync(ServerSettings, () => make(atStart))

/** What does not fit together, and what a key's own schema cannot tell. */
export const clashes = (resolved: Resolved): ReadonlyArray<ConfigProblem> => {
  const value = resolved.settings["mqtt.rewrite"]
  const invalid = invalidRewriteRule(value)
  const source = resolved.sources["mqtt.rewrite"]
  return invalid === undefined
    ? contradictions(resolved)
    : [
        ...contradictions(resolved),
        { key: "mqtt.rewrite", source, value, expected: `rules that can be used: ${invalid.message}`, suggestion: undefined }
      ]
}

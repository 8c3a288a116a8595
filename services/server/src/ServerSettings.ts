/**
 * The settings of this node with their sources, as a service for those parts of the server that show them.
 */
import type { Resolved } from "@effectmq/schemas/config/Settings"
import * as Context from "effect/Context"

export class ServerSettings extends Context.Tag("@effectmq/server/ServerSettings")<ServerSettings, Resolved>() {}

/**
 * The command `effectmq` with all its subcommands.
 */
import * as Command from "@effect/cli/Command"
import { acl } from "./commands/Acl.js"
import { ban } from "./commands/Ban.js"
import { cluster } from "./commands/Cluster.js"
import { config } from "./commands/Config.js"
import { pub } from "./commands/Pub.js"
import { session } from "./commands/Session.js"
import { start } from "./commands/Start.js"
import { status } from "./commands/Status.js"
import { sub } from "./commands/Sub.js"
import { tenant } from "./commands/Tenant.js"
import { topic } from "./commands/Topic.js"
import { user } from "./commands/User.js"

/** As they are listed: what one starts with first. */
export const commands = [start, status, pub, sub, topic, tenant, user, acl, ban, session, cluster, config] as const

export const effectmq = Command.make("effectmq").pipe(
  Command.withDescription("a message broker: run it, look after it, try it out"),
  Command.withSubcommands(commands)
)

/**
 * The commands of late and their replies, so that a retried one is answered and not applied again.
 *
 * Two generations: when the newer one is full it becomes the older one, and the older is forgotten. Between `generationMax`
 * and twice as many commands are remembered.
 */
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import { Table } from "./Table.js"

export interface RecentCommand {
  /** Tag of the command. */
  readonly command: string
  readonly reply: MetadataReply
}

export interface RecentCommands {
  readonly older: Table<RecentCommand>
  readonly newer: Table<RecentCommand>
  /** Lowest version among the replies of the generation; 0 where it is empty. */
  readonly olderFrom: number
  readonly newerFrom: number
}

export const generationMax = 8192

export const emptyRecentCommands: RecentCommands = { older: Table.empty(), newer: Table.empty(), olderFrom: 0, newerFrom: 0 }

export const recentCommandOf = (recent: RecentCommands, commandId: string): RecentCommand | undefined =>
  recent.newer.get(commandId) ?? recent.older.get(commandId)

export const rememberCommand = (recent: RecentCommands, commandId: string, command: RecentCommand): RecentCommands => {
  const { version } = command.reply
  return recent.newer.size < generationMax
    ? {
        ...recent,
        newer: recent.newer.set(commandId, command),
        newerFrom: recent.newerFrom === 0 ? version : Math.min(recent.newerFrom, version)
      }
    : {
        older: recent.newer,
        olderFrom: recent.newerFrom,
        newer: Table.empty<RecentCommand>().set(commandId, command),
        newerFrom: version
      }
}

/**
 * Whether every command that was applied after the image of `version` is still remembered. Where it is not, a command that was
 * first submitted on that image and is not remembered may have been applied and forgotten.
 */
export const reachesBackTo = (recent: RecentCommands, version: number): boolean =>
  recent.older.size === 0 || version >= recent.olderFrom - 1

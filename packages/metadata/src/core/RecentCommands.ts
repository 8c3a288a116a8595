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
}

export const generationMax = 1024

export const emptyRecentCommands: RecentCommands = { older: Table.empty(), newer: Table.empty() }

export const recentCommandOf = (recent: RecentCommands, commandId: string): RecentCommand | undefined =>
  recent.newer.get(commandId) ?? recent.older.get(commandId)

export const rememberCommand = (recent: RecentCommands, commandId: string, command: RecentCommand): RecentCommands =>
  recent.newer.size < generationMax
    ? { older: recent.older, newer: recent.newer.set(commandId, command) }
    : { older: recent.newer, newer: Table.empty<RecentCommand>().set(commandId, command) }

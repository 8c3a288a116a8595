/**
 * Watches commands in the log from outside: each takes effect once, what was acknowledged is kept by a majority and is in every later
 * image, and what was refused never takes effect.
 */
import type { Image } from "@effectmq/metadata/core/Image"
import { recentCommandOf } from "@effectmq/metadata/core/RecentCommands"
import type { RaftWrite } from "@effectmq/raft/RaftStore"
import type { GroupWatch } from "../cluster/GroupWatch.js"
import type { Seen } from "../cluster/LogView.js"
import type { Violations } from "../cluster/Violations.js"

interface Place {
  readonly index: number
  readonly term: number
}

/** Of the commands that an entry says were applied; read as text, without the code that is watched. */
const commandIdsIn = (data: Uint8Array): ReadonlyArray<string> =>
  Buffer.from(data)
    .toString()
    .split("\n")
    .filter((line) => line.includes('"_tag":"CommandApplied"'))
    .map((line) => (JSON.parse(line) as { readonly commandId: string }).commandId)

export class CommandWatch {
  private readonly commandsByPlace = new Map<string, ReadonlyArray<string>>()
  private readonly placesByCommand = new Map<string, Array<Place>>()
  private readonly effectsByCommand = new Map<string, number>()
  private readonly acknowledged = new Set<string>()
  private readonly refused = new Set<string>()

  constructor(
    private readonly violations: Violations,
    private readonly group: () => GroupWatch
  ) {}

  /** A member hands this to its store. */
  told({ entries = [] }: RaftWrite): void {
    for (const entry of entries) {
      if (entry.kind !== "command") continue
      const key = `${entry.index} ${entry.term}`
      if (this.commandsByPlace.has(key)) continue
      const commands = commandIdsIn(entry.data)
      this.commandsByPlace.set(key, commands)
      for (const commandId of commands) {
        const places = this.placesByCommand.get(commandId) ?? []
        places.push({ index: entry.index, term: entry.term })
        this.placesByCommand.set(commandId, places)
      }
    }
  }

  committed({ index, term }: Seen): void {
    for (const commandId of this.commandsByPlace.get(`${index} ${term}`) ?? []) {
      const known = this.effectsByCommand.get(commandId)
      if (known !== undefined) this.violations.add(`${commandId} takes effect at ${index}, and did at ${known}`)
      this.effectsByCommand.set(commandId, index)
      if (this.refused.has(commandId)) this.violations.add(`${commandId} takes effect at ${index}, and was refused`)
    }
  }

  /** A client got its answer through a node that shows `image`. */
  answered(commandId: string, nodeId: number, image: Image): void {
    this.acknowledged.add(commandId)
    if (recentCommandOf(image.recentCommands, commandId) === undefined) {
      this.violations.add(`${commandId} was answered by node ${nodeId}, whose image does not show it`)
    }
    const places = this.placesByCommand.get(commandId) ?? []
    if (!places.some(({ index, term }) => this.group().isKept(index, term))) {
      const where = places.map(({ index, term }) => `entry ${index} of term ${term}`).join(", ")
      this.violations.add(
        `${commandId} was answered by node ${nodeId}, and no majority has ${where === "" ? "any entry of it" : where}`
      )
    }
  }

  /** Nothing of it may be under way any more. */
  hadNoEffect(commandId: string): void {
    this.refused.add(commandId)
    const index = this.effectsByCommand.get(commandId)
    if (index !== undefined) this.violations.add(`${commandId} was refused, and took effect at ${index}`)
  }

  /** At the end, of a node that has everything. */
  final(nodeId: number, { recentCommands }: Image): void {
    for (const commandId of this.acknowledged) {
      if (recentCommandOf(recentCommands, commandId) === undefined) {
        this.violations.add(`${commandId} was answered, and the image of node ${nodeId} does not have it`)
      }
    }
    for (const commandId of this.refused) {
      if (recentCommandOf(recentCommands, commandId) !== undefined) {
        this.violations.add(`${commandId} was refused, and the image of node ${nodeId} has it`)
      }
    }
  }
}

/**
 * The decision on a metadata command: the events that make it so, or why not.
 *
 * Every command that is carried out ends with `CommandApplied`, so that a retry of it finds its reply. A refused command
 * leaves nothing: a retry is decided anew.
 */
import type { Decision } from "@effectmq/eventsource/Decider"
import { CommandIdReused, type MetadataRefusal } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand, MetadataCommandTag } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import * as Either from "effect/Either"
import { deleteAcl, deleteBan, deleteUser, putAcl, putBan, putUser, setAclDefault } from "./decideAccess.js"
import { createCluster, setConfig, unsetConfig } from "./decideCluster.js"
import { fenceNode, registerNode, unfenceNode, unregisterNode } from "./decideNode.js"
import { configureTenant, createTenant, deleteTenant } from "./decideTenant.js"
import { configureTopic, createTopic, deleteTopic } from "./decideTopic.js"
import type { Image } from "./Image.js"
import type { DecideOne } from "./Outcome.js"
import { recentCommandOf } from "./RecentCommands.js"
import { checkCommand } from "./validate.js"

const decideByTag: { readonly [Tag in MetadataCommandTag]: DecideOne<Tag> } = {
  CreateCluster: createCluster,
  RegisterNode: registerNode,
  FenceNode: fenceNode,
  UnfenceNode: unfenceNode,
  UnregisterNode: unregisterNode,
  CreateTenant: createTenant,
  ConfigureTenant: configureTenant,
  DeleteTenant: deleteTenant,
  CreateTopic: createTopic,
  ConfigureTopic: configureTopic,
  DeleteTopic: deleteTopic,
  PutUser: putUser,
  DeleteUser: deleteUser,
  PutAcl: putAcl,
  DeleteAcl: deleteAcl,
  SetAclDefault: setAclDefault,
  PutBan: putBan,
  DeleteBan: deleteBan,
  SetConfig: setConfig,
  UnsetConfig: unsetConfig
}

export const decide = (
  image: Image,
  command: MetadataCommand,
  /** A time that the cluster agrees has passed; undefined where there is none. A command's own time is that of one node's clock. */
  passedMs?: number | undefined
): Either.Either<Decision<MetadataEvent, MetadataReply>, MetadataRefusal> => {
  const wrong = checkCommand(command)
  if (wrong !== undefined) return Either.left(wrong)
  const { commandId, _tag } = command
  const earlier = recentCommandOf(image.recentCommands, commandId)
  if (earlier !== undefined) {
    return earlier.command === _tag
      ? Either.right({ events: [], reply: earlier.reply })
      : Either.left(new CommandIdReused({ commandId, command: earlier.command }))
  }
  // The table pairs every tag with its own function; the compiler cannot follow that through a union.
  const decideOne = decideByTag[_tag] as unknown as DecideOne<MetadataCommandTag>
  return Either.map(decideOne(image, command, passedMs), (outcome) => {
    const reply = { ...outcome.reply, version: image.version + outcome.events.length + 1 } as MetadataReply
    return { events: [...outcome.events, { _tag: "CommandApplied", commandId, command: _tag, reply }], reply }
  })
}

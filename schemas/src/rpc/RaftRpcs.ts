/**
 * How members of a Raft group hand each other their messages. Version 1, on the channel `raft/1`: another form of a message is
 * another group on another channel, so that nodes of different releases tell each other apart before anything is said.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { RaftMessage } from "../raft/RaftMessage.js"

export const raftChannel = "raft/1"

/** Of one call. */
export const deliverMessagesMax = 1024

/** All from the node that calls. Answered at once; what they bring about comes as messages of its own. */
export const Deliver = Rpc.make("Deliver", {
  payload: { messages: Schema.Array(RaftMessage).pipe(Schema.maxItems(deliverMessagesMax)) }
})

export class RaftRpcs extends RpcGroup.make(Deliver) {}

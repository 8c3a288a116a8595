/**
 * How members of a Raft group hand each other their messages. Version 1, on the channel `raft/1`: another form of a message is
 * another group on another channel, so that nodes of different releases tell each other apart before anything is said.
 */
import { ByteReader } from "@effectmq/bytes/ByteReader"
import { ByteWriter } from "@effectmq/bytes/ByteWriter"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { RaftMessage } from "../raft/RaftMessage.js"
import { readRaftMessages, writeRaftMessages } from "../raft/RaftMessageBytes.js"

export const raftChannel = "raft/1"

/** Of one call. */
export const deliverMessagesMax = 1024

const isBatch = (value: unknown): value is ReadonlyArray<RaftMessage> =>
  Array.isArray(value) && value.length > 0 && value.length <= deliverMessagesMax

const Messages = Schema.declare(isBatch, { identifier: "RaftMessages" })

/** Messages from one node to one other, as bytes (RaftMessageBytes): they are many, and a schema of each would cost more than Raft. */
export const RaftMessages = Schema.transformOrFail(Schema.Uint8ArrayFromSelf, Messages, {
  strict: true,
  decode: (bytes, _, ast) =>
    Either.mapLeft(
      Either.try(() => readRaftMessages(new ByteReader(bytes))),
      (error) => new ParseResult.Type(ast, bytes.length, error instanceof Error ? error.message : String(error))
    ),
  encode: (messages, _, ast) => {
    const { from, to } = messages[0] as RaftMessage
    if (messages.some((message) => message.from !== from || message.to !== to)) {
      return ParseResult.fail(new ParseResult.Type(ast, messages.length, "messages of one call have one sender and one receiver"))
    }
    const writer = new ByteWriter()
    writeRaftMessages(writer, from, to, messages)
    return ParseResult.succeed(writer.view())
  }
})

/** Answered at once; what the messages bring about comes as messages of its own. */
export const Deliver = Rpc.make("Deliver", { payload: { messages: RaftMessages } })

export class RaftRpcs extends RpcGroup.make(Deliver) {}

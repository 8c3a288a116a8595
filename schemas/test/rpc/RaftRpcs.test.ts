/** One call of `Deliver` as it goes over the wire. */
import type { RaftMessage } from "../../src/raft/RaftMessage.js"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import { Deliver, deliverMessagesMax } from "../../src/rpc/RaftRpcs.js"

const encode = Schema.encodeEither(Deliver.payloadSchema)
const decode = Schema.decodeUnknownEither(Deliver.payloadSchema)

const timeoutNow = (from: number, to: number): RaftMessage => ({ _tag: "TimeoutNow", from, to, term: 5 })

describe("Deliver", () => {
  it("carries messages as their frozen bytes", () => {
    const messages = [timeoutNow(1, 2), timeoutNow(1, 2)]
    const encoded = Either.getOrThrow(encode({ messages }))
    expect(Buffer.from(encoded.messages).toString("hex")).toBe("010204070a070a")
    expect(Either.getOrThrow(decode(encoded))).toEqual({ messages })
  })

  it("is refused where it is no batch, of another version, empty or too long, and says why", () => {
    const most = Array.from({ length: deliverMessagesMax }, () => timeoutNow(1, 2))
    const bytes = Either.getOrThrow(encode({ messages: most })).messages
    expect(Either.isRight(decode({ messages: bytes }))).toBe(true)
    const refused = (messages: unknown) => String(Either.getOrUndefined(Either.flip(decode({ messages }))))
    expect(refused(Buffer.concat([bytes, Buffer.from("070a", "hex")]))).toContain("RaftMessages")
    expect(refused(Buffer.from("010204", "hex"))).toContain("RaftMessages")
    expect(refused(Buffer.from("020204", "hex"))).toContain("unknown version 2")
    expect(refused(Buffer.from("0102049902", "hex"))).toContain("unknown kind 153")
    expect(refused("text")).toContain("Uint8Array")
  })

  it("has one sender and one receiver", () => {
    expect(Either.isLeft(encode({ messages: [timeoutNow(1, 2), timeoutNow(1, 3)] }))).toBe(true)
    expect(Either.isLeft(encode({ messages: [timeoutNow(1, 2), timeoutNow(2, 1)] }))).toBe(true)
    expect(Either.isLeft(encode({ messages: [] }))).toBe(true)
  })
})

/**
 * How two nodes find out that they belong together, before either takes anything else from the other. Four frames:
 *
 *     caller  hello      magic "EMQN" (4) | version (1) | from node (u32) | to node (u32) | nonce (32) | channel (UTF-8, 1 to 64)
 *     host    challenge  version (1) | host's node (u32) | nonce (32)
 *     caller  proof      proof in the role "C" (32) | what it belongs to (ASCII, 0 to 150; `Belonging`)
 *     host    welcome    "W" | proof in the role "H" (32)
 *
 * A host that refuses sends `"R"` and why, in words, instead of its next frame.
 *
 *     proof = HMAC-SHA-256(secret, role (1) | version (1) | from and to of the hello (u32, u32) | caller's nonce | host's nonce | channel
 *             | 0 | what the caller belongs to)
 *
 * Both prove that they know the secret, and neither sends it. The caller goes first: who only reaches the port gets nothing to try
 * passwords on. Nodes of two clusters, or of two lists of first members, do not speak with each other even where they know the same
 * secret. A proof is good for one connection, one direction, one channel. What follows is neither hidden nor protected against
 * who sits on the wire: that is what TLS is for.
 */
import { Buffer } from "node:buffer"
import { createHmac, timingSafeEqual } from "node:crypto"
import { type Belonging, belongingBytesMax, belongingOfText, strangers, textOfBelonging, unknownBelonging } from "./Belonging.js"

export const nodeProtocolVersion = 1
export const nonceBytes = 32
const proofBytes = 32
const channelBytesMax = 64
/** No frame of the handshake is larger. */
export const handshakeFrameBytesMax = 256

const magic = Buffer.from("EMQN")
const helloBytes = magic.length + 1 + 4 + 4 + nonceBytes
const challengeBytes = 1 + 4 + nonceBytes
const welcomeMark = "W".charCodeAt(0)
const refusedMark = "R".charCodeAt(0)
const nodeIdMax = 0xffffffff

/** `refused`: say this to the other and end. `failed`: end without a word. */
export type HandshakeStep =
  | { readonly _tag: "send"; readonly frame: Buffer }
  | { readonly _tag: "done"; readonly peerNodeId: number; readonly channel: string; readonly frame?: Buffer }
  | { readonly _tag: "refused"; readonly reason: string; readonly frame: Buffer }
  | { readonly _tag: "failed"; readonly reason: string }

const failed = (reason: string): HandshakeStep => ({ _tag: "failed", reason })

/** `told`: what the other is told, where that is less than what is known here. */
const refused = (reason: string, told = reason): HandshakeStep => ({
  _tag: "refused",
  reason,
  frame: Buffer.concat([Buffer.from([refusedMark]), Buffer.from(told).subarray(0, handshakeFrameBytesMax - 1)])
})

/** What another node says goes into a log: nothing but plain characters, and not many. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?")

/** What a refusal says, or undefined where the frame is none. */
const refusalIn = (frame: Buffer): string | undefined =>
  frame[0] === refusedMark ? printable(frame.toString("latin1", 1)) : undefined

interface Talk {
  readonly from: number
  readonly to: number
  readonly callerNonce: Uint8Array
  readonly hostNonce: Uint8Array
  readonly channel: Buffer
}

const separator = Buffer.from([0])

const proofOf = (secret: string, role: "C" | "H", talk: Talk, belonging: Uint8Array): Buffer => {
  const numbers = Buffer.alloc(10)
  numbers.write(role, 0, "latin1")
  numbers.writeUInt8(nodeProtocolVersion, 1)
  numbers.writeUInt32BE(talk.from, 2)
  numbers.writeUInt32BE(talk.to, 6)
  return createHmac("sha256", secret)
    .update(numbers)
    .update(talk.callerNonce)
    .update(talk.hostNonce)
    .update(talk.channel)
    .update(separator)
    .update(belonging)
    .digest()
}

const proves = (proof: Buffer, secret: string, role: "C" | "H", talk: Talk, belonging: Uint8Array): boolean =>
  proof.length === proofBytes && timingSafeEqual(proof, proofOf(secret, role, talk, belonging))

const notOurs = "does not speak this protocol"

export interface CallerOptions {
  readonly nodeId: number
  readonly toNodeId: number
  readonly channel: string
  readonly secret: string
  /** `nonceBytes` long, never used before. */
  readonly nonce: Uint8Array
  readonly belonging?: (() => Belonging) | undefined
}

export class CallerHandshake {
  private talk: Talk | undefined
  private told: Buffer = Buffer.alloc(0)

  constructor(private readonly options: CallerOptions) {
    const { nodeId, toNodeId, channel } = options
    for (const id of [nodeId, toNodeId]) {
      if (!Number.isInteger(id) || id < 1 || id > nodeIdMax) throw new Error(`${id} is no node id`)
    }
    const length = Buffer.byteLength(channel)
    if (length === 0 || length > channelBytesMax) throw new Error(`${channel} is no name of a channel`)
  }

  hello(): Buffer {
    const { nodeId, toNodeId, channel, nonce } = this.options
    const frame = Buffer.alloc(helloBytes + Buffer.byteLength(channel))
    magic.copy(frame)
    frame.writeUInt8(nodeProtocolVersion, 4)
    frame.writeUInt32BE(nodeId, 5)
    frame.writeUInt32BE(toNodeId, 9)
    frame.set(nonce, 13)
    frame.write(channel, helloBytes, "utf8")
    return frame
  }

  step(frame: Buffer): HandshakeStep {
    const refusal = refusalIn(frame)
    if (refusal !== undefined) return failed(`the other node refuses: ${refusal}`)
    return this.talk === undefined ? this.challenge(frame) : this.welcome(frame, this.talk)
  }

  private challenge(frame: Buffer): HandshakeStep {
    const { nodeId, toNodeId, channel, nonce, secret } = this.options
    if (frame.length !== challengeBytes) return failed(`the other side ${notOurs}`)
    if (frame[0] !== nodeProtocolVersion) {
      return failed(`the other node speaks version ${frame[0]}, this one version ${nodeProtocolVersion}`)
    }
    const host = frame.readUInt32BE(1)
    if (host !== toNodeId) return failed(`node ${host} is at this address, not node ${toNodeId}`)
    const hostNonce = Buffer.from(frame.subarray(5))
    const talk: Talk = { from: nodeId, to: toNodeId, callerNonce: nonce, hostNonce, channel: Buffer.from(channel) }
    this.talk = talk
    this.told = Buffer.from(textOfBelonging(this.options.belonging?.() ?? unknownBelonging), "latin1")
    return { _tag: "send", frame: Buffer.concat([proofOf(secret, "C", talk, this.told), this.told]) }
  }

  private welcome(frame: Buffer, talk: Talk): HandshakeStep {
    if (frame[0] !== welcomeMark) return failed(`the other side ${notOurs}`)
    if (!proves(frame.subarray(1), this.options.secret, "H", talk, this.told))
      return failed("the other node does not know cluster.secret")
    return { _tag: "done", peerNodeId: talk.to, channel: this.options.channel }
  }
}

export interface HostOptions {
  readonly nodeId: number
  readonly secret: string
  /** `nonceBytes` long, never used before. */
  readonly nonce: Uint8Array
  /** The channels that are spoken here. */
  readonly channels: () => Iterable<string>
  /** Why one more node that proved itself is not let in. */
  readonly full: () => string | undefined
  readonly belonging?: (() => Belonging) | undefined
}

export class HostHandshake {
  private talk: Talk | undefined

  constructor(private readonly options: HostOptions) {}

  step(frame: Buffer): HandshakeStep {
    return this.talk === undefined ? this.hello(frame) : this.proof(frame, this.talk)
  }

  private hello(frame: Buffer): HandshakeStep {
    if (frame.length < 5 || !frame.subarray(0, 4).equals(magic)) return failed(`it ${notOurs}`)
    if (frame[4] !== nodeProtocolVersion) {
      return refused(`it speaks version ${frame[4]}, this node version ${nodeProtocolVersion}`)
    }
    if (frame.length <= helloBytes || frame.length > helloBytes + channelBytesMax) return failed("its hello is not whole")
    const { nodeId, nonce } = this.options
    const from = frame.readUInt32BE(5)
    const to = frame.readUInt32BE(9)
    if (to !== nodeId) return refused(`it looks for node ${to}, this is node ${nodeId}`)
    if (from === nodeId || from === 0) return refused(`it says it is node ${from}, which cannot be: this is node ${nodeId}`)
    const callerNonce = Buffer.from(frame.subarray(13, helloBytes))
    this.talk = { from, to, callerNonce, hostNonce: nonce, channel: Buffer.from(frame.subarray(helloBytes)) }
    const challenge = Buffer.alloc(challengeBytes)
    challenge.writeUInt8(nodeProtocolVersion, 0)
    challenge.writeUInt32BE(nodeId, 1)
    challenge.set(nonce, 5)
    return { _tag: "send", frame: challenge }
  }

  private proof(frame: Buffer, talk: Talk): HandshakeStep {
    const { channels, full, secret } = this.options
    const told = frame.subarray(proofBytes)
    if (told.length > belongingBytesMax || !proves(frame.subarray(0, proofBytes), secret, "C", talk, told)) {
      return refused(
        `it does not know cluster.secret, or has another; it says it is node ${talk.from}`,
        "cluster.secret is not the same on both nodes"
      )
    }
    // Only who knows the secret learns more of this node.
    const theirs = belongingOfText(told.toString("latin1"))
    if (theirs === undefined) return refused("what it says it belongs to cannot be read")
    const why = strangers(theirs, this.options.belonging?.() ?? unknownBelonging)
    if (why !== undefined) return refused(why)
    const channel = talk.channel.toString("utf8")
    const spoken = [...channels()]
    if (!spoken.includes(channel)) {
      const name = printable(channel)
      const others = spoken.filter((other) => other.split("/")[0] === channel.split("/")[0])
      return refused(`${name} is not spoken here${others.length === 0 ? ", or not yet" : `, but ${others.join(" and ")}`}`)
    }
    const reason = full()
    if (reason !== undefined) return refused(reason)
    return {
      _tag: "done",
      peerNodeId: talk.from,
      channel,
      frame: Buffer.concat([Buffer.from([welcomeMark]), proofOf(secret, "H", talk, told)])
    }
  }
}

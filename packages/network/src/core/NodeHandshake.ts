/**
 * How two nodes find out that they belong together, before either takes anything else from the other. Four frames:
 *
 *     caller  hello     magic "EMQN" (4) | version (1) | from node (u32) | to node (u32) | nonce (32) | channel (UTF-8)
 *     host    answer    version (1) | from node (u32) | nonce (32) | proof (32)
 *     caller  proof     proof (32)
 *     host    welcome   "W"
 *
 * Who refuses sends `"R"` and why, in words, instead of its next frame.
 *
 *     proof = HMAC-SHA-256(secret, role (1: "H" or "C") | version (1) | from and to of the hello (u32, u32) | both nonces | channel)
 *
 * Both prove that they know the secret, and neither sends it. A proof is good for one connection, one direction, one channel. What
 * follows is neither hidden nor protected against who sits on the wire: that is what TLS is for.
 */
import { Buffer } from "node:buffer"
import { createHmac, timingSafeEqual } from "node:crypto"

export const nodeProtocolVersion = 1
export const nonceBytes = 32
const proofBytes = 32
const channelBytesMax = 64
/** No frame of the handshake is larger. */
export const handshakeFrameBytesMax = 512

const magic = Buffer.from("EMQN")
const helloBytes = magic.length + 1 + 4 + 4 + nonceBytes
const answerBytes = 1 + 4 + nonceBytes + proofBytes
const welcome = Buffer.from("W")
const refusedMark = "R".charCodeAt(0)

/** `refused`: say this to the other and end. `failed`: end without a word. */
export type HandshakeStep =
  | { readonly _tag: "send"; readonly frame: Buffer }
  | { readonly _tag: "done"; readonly peerNodeId: number; readonly channel: string; readonly frame?: Buffer }
  | { readonly _tag: "refused"; readonly reason: string; readonly frame: Buffer }
  | { readonly _tag: "failed"; readonly reason: string }

const failed = (reason: string): HandshakeStep => ({ _tag: "failed", reason })
const refused = (reason: string): HandshakeStep => ({
  _tag: "refused",
  reason,
  frame: Buffer.concat([Buffer.from([refusedMark]), Buffer.from(reason.slice(0, 200))])
})

interface Talk {
  readonly from: number
  readonly to: number
  readonly callerNonce: Uint8Array
  readonly hostNonce: Uint8Array
  readonly channel: string
}

const proofOf = (secret: string, role: "H" | "C", talk: Talk): Buffer => {
  const numbers = Buffer.alloc(10)
  numbers.write(role, 0, "latin1")
  numbers.writeUInt8(nodeProtocolVersion, 1)
  numbers.writeUInt32BE(talk.from, 2)
  numbers.writeUInt32BE(talk.to, 6)
  return createHmac("sha256", secret)
    .update(numbers)
    .update(talk.callerNonce)
    .update(talk.hostNonce)
    .update(talk.channel, "utf8")
    .digest()
}

/** What a refusal says, or undefined where the frame is none. */
const refusalIn = (frame: Buffer): string | undefined =>
  frame[0] === refusedMark ? frame.toString("utf8", 1, Math.min(frame.length, 256)).replace(/[^\x20-\x7e]/g, "?") : undefined

export interface CallerOptions {
  readonly nodeId: number
  readonly toNodeId: number
  readonly channel: string
  readonly secret: string
  /** `nonceBytes` long, never used before. */
  readonly nonce: Uint8Array
}

export class CallerHandshake {
  private talk: Talk | undefined

  constructor(private readonly options: CallerOptions) {}

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
    const { nodeId, toNodeId, channel, nonce, secret } = this.options
    if (this.talk !== undefined) {
      return frame.equals(welcome)
        ? { _tag: "done", peerNodeId: toNodeId, channel }
        : failed("the other node does not speak this protocol")
    }
    if (frame.length !== answerBytes) return failed("the other node does not speak this protocol")
    if (frame[0] !== nodeProtocolVersion) {
      return failed(`the other node speaks version ${frame[0]}, this one version ${nodeProtocolVersion}`)
    }
    const from = frame.readUInt32BE(1)
    if (from !== toNodeId) return failed(`node ${from} is at this address, not node ${toNodeId}`)
    const hostNonce = frame.subarray(5, 5 + nonceBytes)
    const talk: Talk = { from: nodeId, to: toNodeId, callerNonce: nonce, hostNonce, channel }
    if (!timingSafeEqual(frame.subarray(5 + nonceBytes), proofOf(secret, "H", talk))) {
      return refused(`node ${toNodeId} does not know cluster.secret, says node ${nodeId}`)
    }
    this.talk = talk
    return { _tag: "send", frame: proofOf(secret, "C", talk) }
  }
}

export interface HostOptions {
  readonly nodeId: number
  readonly secret: string
  readonly nonce: Uint8Array
  readonly hasChannel: (channel: string) => boolean
}

export class HostHandshake {
  private talk: Talk | undefined

  constructor(private readonly options: HostOptions) {}

  step(frame: Buffer): HandshakeStep {
    const refusal = refusalIn(frame)
    if (refusal !== undefined) return failed(`the other node refuses: ${refusal}`)
    return this.talk === undefined ? this.hello(frame) : this.proof(frame, this.talk)
  }

  private hello(frame: Buffer): HandshakeStep {
    if (frame.length < 5 || !frame.subarray(0, 4).equals(magic)) return failed("it does not speak this protocol")
    if (frame[4] !== nodeProtocolVersion) {
      return refused(`it speaks version ${frame[4]}, this node version ${nodeProtocolVersion}`)
    }
    if (frame.length < helloBytes || frame.length > helloBytes + channelBytesMax) return failed("its hello is not whole")
    const { nodeId, nonce, secret } = this.options
    const from = frame.readUInt32BE(5)
    const to = frame.readUInt32BE(9)
    if (to !== nodeId) return refused(`it looks for node ${to}, this is node ${nodeId}`)
    if (from === nodeId || from === 0) return refused(`it says it is node ${from}`)
    const channel = frame.toString("utf8", helloBytes)
    const callerNonce = Buffer.from(frame.subarray(13, 13 + nonceBytes))
    const talk: Talk = { from, to, callerNonce, hostNonce: nonce, channel }
    this.talk = talk
    const answer = Buffer.alloc(answerBytes)
    answer.writeUInt8(nodeProtocolVersion, 0)
    answer.writeUInt32BE(nodeId, 1)
    answer.set(nonce, 5)
    answer.set(proofOf(secret, "H", talk), 5 + nonceBytes)
    return { _tag: "send", frame: answer }
  }

  private proof(frame: Buffer, talk: Talk): HandshakeStep {
    if (frame.length !== proofBytes || !timingSafeEqual(frame, proofOf(this.options.secret, "C", talk))) {
      return refused(`it does not know cluster.secret (it says it is node ${talk.from})`)
    }
    // Only who knows the secret learns what is spoken here.
    if (!this.options.hasChannel(talk.channel)) return refused(`${talk.channel} is not spoken here, or not yet`)
    return { _tag: "done", peerNodeId: talk.from, channel: talk.channel, frame: welcome }
  }
}

/**
 * Who knocks at the port between the nodes without being one of them: connections that say given bytes, and note what was answered.
 * The handshake is written anew from its description (packages/network/src/core/NodeHandshake.ts), for whoever guesses secrets.
 */
import { createHmac, randomBytes } from "node:crypto"
import { createConnection, type Socket } from "node:net"

export const frameOf = (content: Buffer): Buffer => {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(content.length)
  return Buffer.concat([header, content])
}

/** The whole frames at the beginning of the bytes. */
export const framesIn = (bytes: Buffer): ReadonlyArray<Buffer> => {
  const frames: Array<Buffer> = []
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    frames.push(bytes.subarray(at + 4, end))
    at = end
  }
  return frames
}

/** A welcome: the host takes the caller for a node. */
const isWelcome = (frame: Buffer): boolean => frame.length === 33 && frame[0] === "W".charCodeAt(0)

export interface Visit {
  /** The host let it in. */
  readonly welcomed: boolean
  /** What the host said when it refused. */
  readonly refusal: string | undefined
}

/** Opens one connection, does `talk` with it, and waits until it has ended; it ends it itself after `stayMs`. */
export const visit = (
  port: number,
  stayMs: number,
  talk: (socket: Socket, heard: (onFrame: (frame: Buffer, index: number) => void) => void) => void
): Promise<Visit> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" })
    const timer = setTimeout(() => socket.destroy(), stayMs)
    let bytes: Buffer = Buffer.alloc(0)
    let told = 0
    let listener: (frame: Buffer, index: number) => void = () => undefined
    socket.on("error", () => undefined)
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      for (const [index, frame] of framesIn(bytes).entries()) if (index >= told) listener(frame, told++)
    })
    socket.on("close", () => {
      clearTimeout(timer)
      const frames = framesIn(bytes)
      const refused = frames.find((frame) => frame[0] === "R".charCodeAt(0))
      resolve({ welcomed: frames.some(isWelcome), refusal: refused?.toString("latin1", 1) })
    })
    socket.on("connect", () => talk(socket, (onFrame) => (listener = onFrame)))
  })

/** Goes through the handshake as node `from` with whatever secret; `then` is sent behind it. */
export const introduce = (
  port: number,
  stayMs: number,
  {
    from,
    to,
    channel,
    secret
  }: { readonly from: number; readonly to: number; readonly channel: string; readonly secret: string },
  then: ReadonlyArray<Buffer> = []
): Promise<Visit> =>
  visit(port, stayMs, (socket, heard) => {
    const nonce = randomBytes(32)
    const numbers = Buffer.alloc(9)
    numbers.writeUInt8(1, 0)
    numbers.writeUInt32BE(from, 1)
    numbers.writeUInt32BE(to, 5)
    socket.write(frameOf(Buffer.concat([Buffer.from("EMQN"), numbers, nonce, Buffer.from(channel)])))
    heard((frame, index) => {
      if (index !== 0 || frame.length !== 37) return
      const proof = createHmac("sha256", secret).update("C").update(numbers).update(nonce).update(frame.subarray(5))
      const belonging = Buffer.from(" ")
      proof
        .update(channel)
        .update(Buffer.from([0]))
        .update(belonging)
      socket.write(frameOf(Buffer.concat([proof.digest(), belonging])))
      for (const bytes of then) socket.write(bytes)
    })
  })

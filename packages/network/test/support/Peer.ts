/** A protocol for tests: notes what happens to it, does what it is told. */
import type { CloseReason, Connection, ConnectionAcceptor, ConnectionHandler } from "@effectmq/network/Connection"

export class Peer implements ConnectionHandler {
  readonly chunks: Array<Buffer> = []
  drains = 0
  idles = 0
  shutdowns = 0
  closeReason: CloseReason | undefined = undefined
  closes = 0
  onChunk: (chunk: Buffer) => void = () => {}
  onIdle?: () => void
  whenShutdown: () => void = () => {}

  constructor(readonly connection: Connection) {}

  onData(chunk: Buffer): void {
    if (this.closes > 0) throw new Error("data after the end")
    this.chunks.push(chunk)
    this.onChunk(chunk)
  }
  onDrain(): void {
    this.drains += 1
  }
  onClose(reason: CloseReason): void {
    this.closes += 1
    this.closeReason = reason
  }
  onShutdown(): void {
    this.shutdowns += 1
    this.whenShutdown()
  }
  received(): Buffer {
    return Buffer.concat(this.chunks)
  }
}

/** Accepts with peers, and keeps them in order. */
export const makePeers = (
  prepare: (peer: Peer) => void = () => {}
): { readonly peers: Array<Peer>; readonly acceptor: ConnectionAcceptor } => {
  const peers: Array<Peer> = []
  return {
    peers,
    acceptor: (connection) => {
      const peer = new Peer(connection)
      peers.push(peer)
      prepare(peer)
      return peer
    }
  }
}

export const echo = (peer: Peer): void => {
  peer.onChunk = (chunk) => peer.connection.write(chunk)
}

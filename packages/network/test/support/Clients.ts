/** The far end of a connection, the same for sockets, WebSockets and memory. */
import type { MemoryClient } from "@effectmq/network/MemoryNetwork"
import { readFileSync } from "node:fs"
import { connect as connectTcp, type Socket } from "node:net"
import { type ConnectionOptions, connect as connectTls, TLSSocket } from "node:tls"
import { type ClientOptions, WebSocket } from "ws"

export interface Client {
  write(bytes: Uint8Array): void
  received(): Buffer
  pause(): void
  resume(): void
  end(): void
  /** Breaks off. */
  destroy(): void
  closed(): boolean
}

export const fixture = (name: string): string => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8")
export const fixturePath = (name: string): string => new URL(`../fixtures/${name}`, import.meta.url).pathname

class Received {
  private chunks: Array<Buffer> = []
  isClosed = false
  add(chunk: Buffer): void {
    this.chunks.push(chunk)
  }
  all(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0] as Buffer
  }
}

const socketClient = (socket: Socket): Client => {
  const received = new Received()
  socket.on("data", (chunk) => received.add(chunk))
  socket.on("error", () => {})
  socket.on("close", () => {
    received.isClosed = true
  })
  return {
    write: (bytes) => void socket.write(bytes),
    received: () => received.all(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void (socket instanceof TLSSocket ? socket.destroy() : socket.resetAndDestroy()),
    closed: () => received.isClosed
  }
}

const opened = (socket: Socket, event: string): Promise<Client> =>
  new Promise((resolve, reject) => {
    socket.once("error", reject)
    socket.once(event, () => {
      socket.off("error", reject)
      resolve(socketClient(socket))
    })
  })

export const tcpClient = (port: number, localAddress = "127.0.0.1"): Promise<Client> =>
  opened(connectTcp({ port, host: "127.0.0.1", localAddress, noDelay: true }), "connect")

export const tlsClient = (port: number, options: ConnectionOptions = {}): Promise<Client> =>
  opened(
    connectTls({ port, host: "127.0.0.1", servername: "localhost", ca: fixture("authority.pem"), ...options }),
    "secureConnect"
  )

export interface WebSocketClient extends Client {
  readonly socket: WebSocket
  closeCode(): number | undefined
}

export const webSocketClient = (
  url: string,
  protocols: ReadonlyArray<string> = ["mqtt"],
  options: ClientOptions = {}
): Promise<WebSocketClient> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, [...protocols], { ca: fixture("authority.pem"), ...options })
    const received = new Received()
    let closeCode: number | undefined
    socket.on("message", (data) => received.add(data as Buffer))
    socket.on("close", (code) => {
      received.isClosed = true
      closeCode = code
    })
    socket.on("error", reject)
    socket.on("open", () =>
      resolve({
        socket,
        closeCode: () => closeCode,
        write: (bytes) => socket.send(bytes),
        received: () => received.all(),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
        end: () => socket.close(),
        destroy: () => socket.terminate(),
        closed: () => received.isClosed
      })
    )
  })

export const memoryClient = (client: MemoryClient): Client => ({
  write: (bytes) => client.write(bytes),
  received: () => client.received(),
  pause: () => client.pause(),
  resume: () => client.resume(),
  end: () => client.end(),
  destroy: () => client.reset(),
  closed: () => client.closed()
})

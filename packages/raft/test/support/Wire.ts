/**
 * A wire to a node: a port of its own that passes on to the node's, wherever that is now. It can be frozen, as a network does that
 * drops what it should carry and tells nobody.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"

export class Wire {
  /** Where the node hears; connections are refused while there is none. */
  target: number | undefined
  private readonly sockets = new Set<Socket>()
  private frozen = false

  private constructor(private readonly server: Server) {
    server.on("connection", (near) => this.carry(near))
  }

  static open(): Promise<Wire> {
    const server = createServer({ allowHalfOpen: true })
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(new Wire(server))))
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  private carry(near: Socket): void {
    near.on("error", () => near.destroy())
    if (this.target === undefined) {
      near.destroy()
      return
    }
    const far = connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true })
    for (const [from, to] of [
      [near, far],
      [far, near]
    ] as const) {
      this.sockets.add(from)
      from.on("data", (chunk: Buffer) => to.write(chunk))
      from.on("end", () => to.end())
      from.on("error", () => to.destroy())
      from.on("close", () => {
        this.sockets.delete(from)
        to.destroy()
      })
      if (this.frozen) from.pause()
    }
  }

  freeze(): void {
    this.frozen = true
    for (const socket of this.sockets) socket.pause()
  }

  thaw(): void {
    this.frozen = false
    for (const socket of this.sockets) socket.resume()
  }

  /** Ends what it carries. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  close(): void {
    this.server.close()
    this.cut()
  }
}

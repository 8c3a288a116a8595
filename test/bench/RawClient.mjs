/**
 * One connection of the load generator: raw bytes, no parser on the way of a message.
 *
 * Every message of a case has the same size, so received bytes divided by that size is the count; the first byte of a packet
 * is checked once per chunk. All connections read into one buffer, which is used up before the next read.
 */
import { connect as connectSocket } from "node:net"
import * as packets from "./packets.mjs"

const shared = Buffer.allocUnsafe(1024 * 1024)

export class RawClient {
  onBytes = () => {}
  onDrain = () => {}
  blocked = false
  closed = false

  /** Resolves when the broker has accepted the client. */
  static open(port, clientId, options = {}) {
    return new Promise((resolve, reject) => {
      const client = new RawClient()
      let head = Buffer.alloc(0)
      client.onBytes = (bytes, length) => {
        head = Buffer.concat([head, bytes.subarray(0, length)])
        if (head.length < 4) return
        if (head[0] !== 0x20 || head[3] !== 0) reject(new Error(`${clientId} was refused: ${head.toString("hex")}`))
        client.onBytes = () => {}
        resolve(client)
      }
      client.socket = connectSocket({
        port,
        host: "127.0.0.1",
        localAddress: options.localAddress,
        noDelay: true,
        onread: {
          buffer: shared,
          callback: (length, bytes) => {
            client.onBytes(bytes, length)
            return true
          }
        }
      })
      client.socket.on("connect", () => client.socket.write(packets.connect(clientId, options)))
      client.socket.on("drain", () => {
        client.blocked = false
        client.onDrain()
      })
      client.socket.on("error", (error) => {
        client.closed = true
        reject(error)
      })
      client.socket.on("close", () => {
        client.closed = true
        reject(new Error(`${clientId}: the broker closed the connection`))
      })
    })
  }

  subscribe(filter, qos) {
    return new Promise((resolve, reject) => {
      let head = Buffer.alloc(0)
      this.onBytes = (bytes, length) => {
        head = Buffer.concat([head, bytes.subarray(0, length)])
        if (head.length < 5) return
        this.onBytes = () => {}
        if (head[0] === 0x90 && head[4] !== 0x80) resolve()
        else reject(new Error(`subscription to ${filter} was refused`))
      }
      this.socket.write(packets.subscribe(filter, qos))
    })
  }

  write(bytes) {
    if (!this.socket.write(bytes)) this.blocked = true
  }

  end() {
    this.onBytes = () => {}
    this.onDrain = () => {}
    this.socket.end(packets.disconnect)
  }
}

/**
 * The network between the nodes of one machine: a door in front of each node's RPC listener that knows which node knocks, so that
 * any link can be cut, in one direction or both, and healed.
 *
 * A connection says nothing of who makes it. The port it comes from does: the system's table of sockets names the socket, and the
 * open files of each node's process say whose it is.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { createConnection, createServer, type Server, type Socket } from "node:net"

const hexOfPort = (port = 0): string => `:${port.toString(16).toUpperCase().padStart(4, "0")}`

/**
 * Number of the other end's socket, from the system's table; undefined where it has gone. Its port alone does not tell it: one that is
 * closed, and was connected elsewhere, may still stand there with the same.
 */
const inodeOfPeer = ({ remotePort, localPort }: Socket): string | undefined => {
  const [own, other] = [hexOfPort(remotePort), hexOfPort(localPort)]
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/)
    if (fields[1]?.endsWith(own) && fields[2]?.endsWith(other) && fields[9] !== "0") return fields[9]
  }
  return undefined
}

const holds = (pid: number, inode: string): boolean => {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`
      } catch {
        return false
      }
    })
  } catch {
    return false
  }
}

interface Link {
  readonly from: number
  readonly to: number
  readonly near: Socket
  readonly far: Socket
}

/** `reset` ends connections and refuses new ones; `silent` lets them stand and swallows what is sent, as a lost cable does. */
export type CutKind = "reset" | "silent"

export class LinkProxy {
  /** Hears what the one that called says, as it comes; `link` is the same for all of one connection. */
  onCallerBytes: (link: object, to: number, chunk: Buffer) => void = () => undefined
  private readonly links = new Set<Link>()
  private readonly cuts = new Map<string, CutKind>()
  private readonly servers: Array<Server> = []

  /** `pidOf`: the process that runs a node now. */
  constructor(
    private readonly pidOf: (nodeId: number) => number | undefined,
    private readonly nodeIds: ReadonlyArray<number>
  ) {}

  /** Opens the door of a node; answers the port at which the others reach it. */
  open(nodeId: number, rpcPort: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = createServer((near) => this.accept(nodeId, rpcPort, near)).on("error", reject)
      this.servers.push(server)
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        if (address === null || typeof address === "string") reject(new Error("no port"))
        else resolve(address.port)
      })
    })
  }

  /** What `from` sends reaches `to` no more. */
  cut(from: number, to: number, kind: CutKind): void {
    this.cuts.set(`${from}>${to}`, kind)
    if (kind !== "reset") return
    for (const link of [...this.links]) {
      if ((link.from === from && link.to === to) || (link.from === to && link.to === from)) this.end(link)
    }
  }

  /** The two groups hear nothing of each other. */
  partition(group: ReadonlyArray<number>, kind: CutKind): void {
    for (const one of this.nodeIds) {
      for (const other of this.nodeIds) if (group.includes(one) !== group.includes(other)) this.cut(one, other, kind)
    }
  }

  /** All links work again; connections that swallowed something are ended, as their bytes are gone. */
  heal(): void {
    const cuts = [...this.cuts.keys()]
    this.cuts.clear()
    for (const link of [...this.links]) {
      if (cuts.includes(`${link.from}>${link.to}`) || cuts.includes(`${link.to}>${link.from}`)) this.end(link)
    }
  }

  close(): void {
    for (const link of [...this.links]) this.end(link)
    for (const server of this.servers) server.close()
  }

  private accept(to: number, rpcPort: number, near: Socket): void {
    near.on("error", () => near.destroy())
    const inode = inodeOfPeer(near)
    // A link of which nobody knows whose it is could not be cut; a node calls again.
    if (inode === undefined) return void near.destroy()
    // A node that came later is none of those that are cut off.
    const from =
      this.nodeIds.find((nodeId) => {
        const pid = this.pidOf(nodeId)
        return pid !== undefined && holds(pid, inode)
      }) ?? 0
    if (this.cuts.get(`${from}>${to}`) === "reset" || this.cuts.get(`${to}>${from}`) === "reset") {
      near.destroy()
      return
    }
    const far = createConnection({ port: rpcPort, host: "127.0.0.1" })
    const link: Link = { from, to, near, far }
    this.links.add(link)
    far.on("error", () => this.end(link))
    near.on("close", () => this.end(link))
    far.on("close", () => this.end(link))
    near.on("data", (chunk) => {
      this.onCallerBytes(link, to, chunk)
      this.pass(from, to, chunk, near, far)
    })
    far.on("data", (chunk) => this.pass(to, from, chunk, far, near))
  }

  private pass(from: number, to: number, chunk: Buffer, source: Socket, target: Socket): void {
    if (this.cuts.get(`${from}>${to}`) === "silent" || target.write(chunk)) return
    source.pause()
    target.once("drain", () => source.resume())
  }

  private end(link: Link): void {
    this.links.delete(link)
    link.near.destroy()
    link.far.destroy()
  }
}

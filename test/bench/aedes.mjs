/**
 * The peer aedes: `node aedes.mjs <port>`, in memory, TCP only.
 */
import { createServer } from "node:net"
import { Aedes } from "aedes"

const broker = await Aedes.createBroker({ concurrency: 1000, queueLimit: 1000 })
createServer({ noDelay: true }, broker.handle).listen(Number(process.argv[2]), "127.0.0.1", 4096)

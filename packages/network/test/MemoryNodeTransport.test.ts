import { MemoryNodes } from "../src/MemoryNodeTransport.js"
import { nodeOf, nodeTransportSuite } from "./NodeTransportSuite.js"

const hub = new MemoryNodes()
nodeTransportSuite("memory", (nodeId) => nodeOf(hub.layer(nodeId), ({ host, port }) => `${host}:${port}`))

/** The suite over the simulated twin, in a world of its own that stands in for the host meanwhile. */
import { SimulatedNetwork } from "@effectmq/testing/SimulatedNetwork"
import { SimulatedNodes } from "@effectmq/testing/SimulatedNodeTransport"
import { VirtualWorld } from "@effectmq/testing/VirtualWorld"
import { afterAll, beforeAll } from "vitest"
import { nodeOf, nodeTransportSuite } from "./NodeTransportSuite.js"

const world = new VirtualWorld({ seed: 1 })
const nodes = new SimulatedNodes(world, new SimulatedNetwork(world))
let stop = () => {}
let stopped: Promise<void>

beforeAll(() => {
  stopped = world.run(async () => {
    let isOver = false
    stop = () => {
      isOver = true
    }
    while (!isOver) await world.sleep(1)
  })
})
afterAll(async () => {
  stop()
  await stopped
})

nodeTransportSuite("simulated", (nodeId) => nodeOf(nodes.layer(world.root, nodeId), ({ host, port }) => `${host}:${port}`))

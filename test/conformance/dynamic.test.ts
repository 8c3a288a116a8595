/**
 * Every dynamic key, changed on a broker that runs: that it takes effect, and what a connection from before keeps.
 */
import { atStartReason } from "@effectmq/schemas/config/AtStart"
import { keyNames } from "@effectmq/schemas/config/Settings"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { isStandIn } from "./broker.js"
import { dynamicCertificates } from "./DynamicCertificates.js"
import { dynamicConnections } from "./DynamicConnections.js"
import { dynamicMessages } from "./DynamicMessages.js"
import { dynamicOperations } from "./DynamicOperations.js"
import { dynamicStorage } from "./DynamicStorage.js"
import { DynamicWorld } from "./DynamicWorld.js"

describe.skipIf(isStandIn)("dynamic configuration", () => {
  const world = new DynamicWorld()
  beforeAll(world.start)
  afterEach(world.tidyUp)
  afterAll(world.stop)

  dynamicConnections(world)
  dynamicMessages(world)
  dynamicStorage(world)
  dynamicOperations(world)
  dynamicCertificates(world)

  it("every dynamic key is shown here", () => {
    const dynamic = keyNames.filter((name) => atStartReason(name) === undefined)
    expect([...world.shown].sort()).toEqual([...dynamic].sort())
  })
})

/**
 * Paho for Python, unchanged, as 3.1.1 and 5.0.
 */
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { pythonWithPaho, Tool } from "../support/Tool.js"

const python = pythonWithPaho("Paho")
const script = fileURLToPath(new URL("paho_client.py", import.meta.url))

describe.runIf(python !== undefined)("Paho", () => {
  let broker: BrokerProcess

  beforeAll(async () => {
    broker = await BrokerProcess.start()
  })
  afterAll(() => broker?.remove())

  for (const version of ["v311", "v5"]) {
    it(`${version}: levels, order, retained, session, will`, async () => {
      const said = await Tool.run(python as string, [script, String(broker.port), version])
      expect(said.match(/^ok /gm)?.length).toBe(7)
    })
  }
})

/** The checker finds what it is there to find. */
import { describe, expect, it } from "vitest"
import { Ledger } from "./Ledger.js"

const delivery = (payload: string, qos: 0 | 1 | 2 = 2) => ({ topic: "t", payload, qos, retain: false, duplicate: false })

const ledgerOf = (...payloads: ReadonlyArray<string>) => {
  const ledger = new Ledger()
  for (const payload of payloads) ledger.record({ topic: "t", payload, qos: 2 })
  return ledger
}

describe("Ledger", () => {
  it("is content with everything once and in order", () => {
    expect(ledgerOf("a:1", "a:2").faults("s", [delivery("a:1"), delivery("b:1"), delivery("a:2")], 2)).toEqual([])
  })

  it("finds what is lost, doubled and late", () => {
    const faults = ledgerOf("a:1", "a:2", "a:3").faults("s", [delivery("a:3"), delivery("a:2"), delivery("a:2")], 2)
    expect(faults.map((fault) => fault.split(",")[0])).toEqual([
      "s: acknowledged and lost",
      "s: QoS 2 more than once",
      "s: out of order"
    ])
  })

  it("allows QoS 1 to come again", () => {
    expect(ledgerOf("a:1", "a:2").faults("s", [delivery("a:1", 1), delivery("a:2", 1), delivery("a:1", 1)], 1)).toEqual([])
  })

  it("counts a shared subscription over its members", () => {
    const ledger = ledgerOf("a:1", "a:2", "a:3")
    expect(ledger.faultsOfGroup("g", [[delivery("a:1")], [delivery("a:2")]])).toHaveLength(1)
    expect(ledger.faultsOfGroup("g", [[delivery("a:1"), delivery("a:3")], [delivery("a:2")]])).toEqual([])
  })
})

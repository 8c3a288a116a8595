import { headerName, isReservedHeader, userHeaderFromStored, userHeaderToStored } from "@effectmq/schemas/record/Headers"
import * as fc from "fast-check"
import { expect, it } from "vitest"

const names = fc.oneof(
  fc.string(),
  fc.constantFrom(...Object.values(headerName), "emq-", "user.", "user.x", "user.user.expiry", "emq-later"),
  fc.string().map((rest) => `user.${rest}`),
  fc.string().map((rest) => `emq-${rest}`)
)

it("brings every user's name back and never lets one pass for the broker's", () => {
  fc.assert(
    fc.property(names, (name) => {
      const stored = userHeaderToStored(name)
      expect(userHeaderFromStored(stored)).toBe(name)
      expect(isReservedHeader(stored)).toBe(false)
    })
  )
})

it("keeps the names it froze", () => {
  expect(Object.values(headerName)).toEqual([
    "content-type",
    "reply-to",
    "correlation-id",
    "message-id",
    "payload-format",
    "expiry",
    "emq-qos",
    "emq-retain",
    "emq-publisher",
    "emq-origin",
    "emq-topic"
  ])
  for (const name of Object.values(headerName)) expect(userHeaderFromStored(name)).toBeUndefined()
})

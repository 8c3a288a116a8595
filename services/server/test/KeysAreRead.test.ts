/**
 * A configuration key that nothing reads is a promise that is not kept: every key stands in the source outside of the table.
 */
import { keyNames } from "@effectmq/schemas/config/Settings"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const root = fileURLToPath(new URL("../src", import.meta.url))

const texts = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => readFileSync(`${root}/${path}`, "utf8"))

// Listeners take their keys by transport.
const transportKey = /^mqtt\.(tcp|ws|tls|wss)\.(host|port)$/

it("every key is read", () => {
  const unread = keyNames.filter((name) => !transportKey.test(name) && !texts.some((text) => text.includes(`"${name}"`)))
  expect(unread).toEqual([])
})

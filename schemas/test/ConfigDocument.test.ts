import { readFile } from "node:fs/promises"
import { expect, it } from "vitest"
import { documentation } from "../src/config/Document.js"

it("docs/operations/configuration.md is what the table of keys says", async () => {
  const page = await readFile(new URL("../../docs/operations/configuration.md", import.meta.url), "utf8")
  expect(page).toBe(documentation())
})

import { readFile } from "node:fs/promises"
import { expect, it } from "vitest"
import { documentation } from "../src/config/Document.js"
import { keyNames } from "../src/config/Settings.js"

it("docs/operations/configuration.md is what the table of keys says", async () => {
  const page = await readFile(new URL("../../docs/operations/configuration.md", import.meta.url), "utf8")
  expect(page).toBe(documentation())
})

it("the page has every key", () => {
  const page = documentation()
  expect(keyNames.filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([])
})

/**
 * Links between pages lead somewhere: the file is there, and so is the heading an anchor names.
 */
import { existsSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { describe, expect, it } from "vitest"
import { paths, read, root } from "./Tree.js"

const pages = paths.filter((path) => path.endsWith(".md"))

const withoutCode = (text: string) => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").replace(/`[^`\n]*`/g, "")

const anchorsOf = (text: string) =>
  text
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, "")
    .split("\n")
    .filter((line) => /^#{1,6} /.test(line))
    .map((line) =>
      line
        .replace(/^#+ /, "")
        .replace(/[`*]|\[|\]\([^)]*\)/g, "")
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replace(/ /g, "-")
    )

describe("pages", () => {
  it("link to what exists", () => {
    const broken = pages.flatMap((page) =>
      [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
        const link = match[1] as string
        if (/^[a-z]+:/.test(link)) return []
        const [file = "", anchor] = link.split("#")
        const target = file === "" ? page : normalize(join(dirname(page), file))
        if (!existsSync(join(root, target))) return [`${page}: ${link}`]
        if (anchor === undefined || !target.endsWith(".md")) return []
        return anchorsOf(read(target)).includes(anchor) ? [] : [`${page}: ${link} names no heading of ${target}`]
      })
    )
    expect(broken).toEqual([])
  })

  it("of the project are reached from the map", () => {
    const map = read("docs/README.md")
    const lost = pages
      .filter((page) => page.startsWith("docs/") && page !== "docs/README.md" && !page.startsWith("docs/adr/"))
      .filter((page) => !map.includes(page.slice("docs/".length)))
    expect(lost).toEqual([])
  })
})

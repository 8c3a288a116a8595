/**
 * Who may import whom: the table of docs/architecture/overview.md, as data.
 *
 * The compiler proves none of this, because all workspaces are hoisted into one node_modules.
 */
import { describe, expect, it } from "vitest"
import { isProduct, packageOf, read, rootDevDependencies, sources, workspaceOf, workspaces } from "./Tree.js"

const waist = ["bytes", "schemas", "messaging", "storage", "network", "security", "metrics"]

/** Short names of the workspaces that each may import in what it ships. */
const mayImport: Record<string, ReadonlyArray<string>> = {
  bytes: [],
  schemas: ["bytes"],
  metrics: ["schemas"],
  storage: ["bytes", "schemas", "metrics"],
  network: ["bytes", "schemas", "metrics"],
  eventsource: ["bytes", "schemas", "storage", "metrics"],
  raft: ["bytes", "schemas", "storage", "network", "metrics"],
  metadata: ["bytes", "schemas", "eventsource", "raft", "storage", "network", "metrics"],
  security: ["schemas", "metadata", "metrics"],
  messaging: ["bytes", "schemas", "eventsource", "metadata", "storage", "network", "security", "metrics"],
  mqtt: waist,
  testing: ["bytes", "schemas", "storage", "network", "raft"],
  server: [...waist, "raft", "metadata", "mqtt"],
  cli: ["schemas", "server"]
}

const workspaceByPackage = new Map(workspaces.map((workspace) => [workspace.packageName, workspace]))
const product = sources.filter((source) => isProduct(source.path))

const imported = product.flatMap((source) =>
  source.imports.flatMap((one) => {
    const from = workspaceOf(source.path)
    const to = workspaceByPackage.get(packageOf(one.specifier) ?? "")
    return from !== undefined && to !== undefined ? [{ from, to, at: `${source.path}:${one.line}` }] : []
  })
)

describe("imports", () => {
  it("follow the matrix", () => {
    const wrong = imported
      .filter(({ from, to }) => from !== to && !(mayImport[from.name] ?? []).includes(to.name))
      .map(({ from, to, at }) => `${at}: ${from.name} may not import ${to.name}`)
    expect(wrong).toEqual([])
  })

  it("have a row in the matrix for every workspace that ships, and in the page that explains it", () => {
    const names = workspaces.filter((workspace) => workspace.name !== "test").map((workspace) => workspace.name)
    expect(names.filter((name) => mayImport[name] === undefined)).toEqual([])
    const page = read("docs/architecture/overview.md")
    expect(names.filter((name) => !page.includes(`| ${name} |`))).toEqual([])
  })

  it("never reach one's own package by its name, nor another's files by a path", () => {
    const byName = imported.filter(({ from, to }) => from === to).map(({ at }) => at)
    const byPath = sources.flatMap((source) => {
      const folder = workspaceOf(source.path)?.folder
      if (folder === undefined || folder === "test") return []
      return source.imports
        .filter((one) => one.specifier.startsWith("."))
        .filter((one) => !new URL(one.specifier, `file:///${source.path}`).pathname.startsWith(`/${folder}/`))
        .map((one) => `${source.path}:${one.line}: ${one.specifier}`)
    })
    expect([...byName, ...byPath]).toEqual([])
  })

  it("are declared in the package.json of the workspace", () => {
    const wrong = sources.flatMap((source) => {
      const workspace = workspaceOf(source.path)
      if (workspace === undefined) return []
      const shipped = isProduct(source.path)
      return source.imports.flatMap((one) => {
        const name = packageOf(one.specifier)
        if (name === undefined || name === workspace.packageName || workspace.dependencies.has(name)) return []
        if (!shipped && (workspace.devDependencies.has(name) || rootDevDependencies.has(name))) return []
        return [`${source.path}:${one.line}: ${name} is not declared in ${workspace.folder}/package.json`]
      })
    })
    expect(wrong).toEqual([])
  })

  it("use every workspace that a package.json declares", () => {
    const wrong = workspaces
      .filter((workspace) => workspace.name !== "test")
      .flatMap((workspace) =>
        [...workspace.dependencies]
          .filter((name) => workspaceByPackage.has(name))
          .filter((name) => !imported.some(({ from, to }) => from === workspace && to.packageName === name))
          .map((name) => `${workspace.folder}/package.json declares ${name}, and nothing imports it`)
      )
    expect(wrong).toEqual([])
  })

  it("make no circle between packages", () => {
    const targets = new Map<string, Set<string>>()
    for (const { from, to } of imported) {
      if (from !== to) targets.set(from.name, (targets.get(from.name) ?? new Set()).add(to.name))
    }
    // The shortest way from each package back to itself.
    const circleOf = (start: string): string | undefined => {
      const ways = [[start]]
      const seen = new Set<string>()
      for (const way of ways) {
        for (const next of targets.get(way.at(-1) as string) ?? []) {
          if (next === start) return [...way, start].join(" -> ")
          if (!seen.has(next)) ways.push([...way, next])
          seen.add(next)
        }
      }
      return undefined
    }
    const circles = [...targets.keys()].map(circleOf).filter((circle) => circle !== undefined)
    expect(circles).toEqual([])
  })

  it("take Effect by subpath, and the test package only from tests", () => {
    const wrong = product.flatMap((source) =>
      source.imports
        .filter((one) => one.specifier === "effect" || packageOf(one.specifier) === "@effectmq/testing")
        .map((one) => `${source.path}:${one.line}: ${one.specifier}; take "effect/<Module>", and no test tools`)
    )
    expect(wrong).toEqual([])
  })
})

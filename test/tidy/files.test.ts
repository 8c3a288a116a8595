/**
 * The shape of the tree: which folders there are, how long a file is, that each is used, and that nothing is left half done.
 */
import { describe, expect, it } from "vitest"
import { isProduct, packageOf, paths, read, type Source, sources, workspaceOf, workspaces } from "./Tree.js"

const linesMax = 500
const topFolders = new Set([".ci", "docs", "packages", "schemas", "services", "test"])
const testFolders = new Set(["bench", "chaos", "clients", "conformance", "scale", "sim", "support", "tidy"])

const sourceByPath = new Map(sources.map((source) => [source.path, source]))
const workspaceByPackage = new Map(workspaces.map((workspace) => [workspace.packageName, workspace]))

const existing = (...candidates: ReadonlyArray<string>) => candidates.find((path) => sourceByPath.has(path))

/** The file an import means, when it is one of this tree. */
const resolve = (from: Source, specifier: string): string | undefined => {
  if (specifier.startsWith(".")) {
    const path = new URL(specifier, `file:///${from.path}`).pathname.slice(1)
    return existing(path, path.replace(/\.js$/, ".ts"), path.replace("/dist/", "/src/").replace(/\.js$/, ".ts"))
  }
  const name = packageOf(specifier)
  const workspace = name === undefined ? undefined : workspaceByPackage.get(name)
  if (name === undefined || workspace === undefined) return undefined
  return existing(`${workspace.folder}/src/${specifier.slice(name.length + 1)}.ts`)
}

const importedFrom = (among: ReadonlyArray<Source>) =>
  new Set(
    among.flatMap((source) =>
      source.imports.flatMap((one) => {
        const path = resolve(source, one.specifier)
        return path === undefined || path === source.path ? [] : [path]
      })
    )
  )

const isNamedIn = (readme: string, path: string) => {
  const name = path.split("/").at(-1)?.replace(/\.ts$/, "") as string
  return paths.includes(readme) && new RegExp(`\`[^\`\n]*\\b${name}\\b[^\`\n]*\``).test(read(readme))
}

describe("files", () => {
  it("lie in the folders of the plan", () => {
    const strangers = paths.filter((path) => path.includes("/") && !topFolders.has(path.split("/")[0] as string))
    const strangersInTest = paths.filter((path) => {
      const parts = path.split("/")
      return parts[0] === "test" && parts.length > 2 && !testFolders.has(parts[1] as string)
    })
    expect([...strangers, ...strangersInTest]).toEqual([])
  })

  it(`have at most ${linesMax} lines`, () => {
    const long = paths
      .filter((path) => /\.(ts|mts|js|mjs|py|sh)$/.test(path))
      .map((path) => [path, read(path).trimEnd().split("\n").length] as const)
      .filter(([, lines]) => lines > linesMax)
      .map(([path, lines]) => `${path}: ${lines} lines; split it by concept`)
    expect(long).toEqual([])
  })

  it("open with their purpose", () => {
    const mute = sources
      .filter((source) => isProduct(source.path) && source.path.endsWith(".ts"))
      .filter((source) => !/^(#![^\n]*\n)?\/\*\*/.test(read(source.path)))
      .map((source) => `${source.path}: begin with a comment that says what the file is for`)
    expect(mute).toEqual([])
  })

  it("are used: imported by what ships, an entry point, or named as public in the README of the package", () => {
    const live = importedFrom(sources.filter((source) => isProduct(source.path)))
    const liveInTests = importedFrom(sources)
    const dead = sources
      .map((source) => source.path)
      .filter((path) => /^(schemas|packages\/[^/]+|services\/[^/]+)\/src\//.test(path))
      .filter((path) => !live.has(path) && !path.endsWith("/src/main.ts"))
      .filter((path) => !(path.startsWith("packages/testing/") && liveInTests.has(path)))
      .filter((path) => !isNamedIn(`${workspaceOf(path)?.folder}/README.md`, path))
      .map((path) => `${path}: nothing imports it, and the README of its package does not name it`)
    expect(dead).toEqual([])
  })

  it("below test/ are suites, or something names them", () => {
    const named = (path: string) => {
      const name = path.split("/").at(-1) as string
      const others = [...paths.filter((other) => other !== path && /(^|\/)test\/.*\.(ts|mjs|js|md)$/.test(other)), "package.json"]
      return others.some((other) => read(other).includes(name) || read(other).includes(`/${name.replace(/\.ts$/, ".js")}"`))
    }
    const dead = paths
      .filter((path) => /^(test|schemas\/test|packages\/[^/]+\/test|services\/[^/]+\/test)\/.*\.(ts|mjs|js|py)$/.test(path))
      .filter((path) => !path.endsWith(".test.ts"))
    const liveInTests = importedFrom(sources)
    expect(dead.filter((path) => !liveInTests.has(path) && !named(path))).toEqual([])
  })

  it("are no index files", () => {
    expect(paths.filter((path) => /\/src\/(.*\/)?index\.ts$/.test(path))).toEqual([])
  })

  it("have a README in every workspace", () => {
    expect(workspaces.map((one) => `${one.folder}/README.md`).filter((path) => !paths.includes(path))).toEqual([])
  })

  it("leave nothing undone and no test left out", () => {
    // Written in pieces, so that this file does not find itself.
    const words = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`)
    const leftOut = /\b(it|test|describe|suite)(\.\w+)*\.(only|skip|todo|fails)\b|(?<![.\w$])x(it|describe)\s*\(/
    const wrong = sources.flatMap((source) =>
      read(source.path)
        .split("\n")
        .flatMap((line, index) => {
          const code = source.code.split("\n", index + 1)[index] ?? ""
          return words.test(line) || leftOut.test(code) ? [`${source.path}:${index + 1}: ${line.trim()}`] : []
        })
    )
    expect(wrong).toEqual([])
  })
})

/**
 * The repository as the tidy rules see it: text files by path, what each imports, and the workspace each belongs to.
 *
 * Paths are relative to the root with `/`. What is generated, installed, built or golden is left out.
 */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Blanked, blank } from "./Blank.js"

export const root = fileURLToPath(new URL("../../", import.meta.url))

const foldersLeftOut = new Set(["node_modules", "dist", "coverage", ".git", "golden", "generated"])

const walk = (folder: string): Array<string> =>
  readdirSync(root + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = folder + entry.name
    if (entry.isDirectory()) return foldersLeftOut.has(entry.name) || path === "data" ? [] : walk(`${path}/`)
    return entry.isFile() && !entry.name.endsWith(".log") ? [path] : []
  })

/** Every file of the tree. */
export const paths: ReadonlyArray<string> = walk("").sort()

const textByPath = new Map<string, string>()

export const read = (path: string): string => {
  let text = textByPath.get(path)
  if (text === undefined) {
    text = readFileSync(root + path, "utf8")
    textByPath.set(path, text)
  }
  return text
}

export interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
  readonly line: number
}

export interface Source extends Blanked {
  readonly path: string
  readonly imports: ReadonlyArray<Import>
}

const importPattern =
  /(?:^|[;{}\n])\s*(import|export)\s+(type\s+)?(?:[\w$*{}\s,]*?\sfrom\s+)?"([^"\n]+)"|\bimport\(\s*"([^"\n]+)"\s*\)/g

const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length

const sourceOf = (path: string): Source => {
  const blanked = blank(read(path))
  const imports = [...blanked.withStrings.matchAll(importPattern)].flatMap((match): Array<Import> => {
    const specifier = match[3] ?? match[4]
    if (specifier === undefined || /[\s$]/.test(specifier)) return []
    const at = match.index + match[0].length
    return [{ specifier, typeOnly: match[2] !== undefined, line: lineOf(blanked.withStrings, at) }]
  })
  return { path, ...blanked, imports }
}

/** Every TypeScript and JavaScript file, read once. */
export const sources: ReadonlyArray<Source> = paths.filter((path) => /\.(ts|mts|js|mjs)$/.test(path)).map(sourceOf)

export interface Workspace {
  /** Short name as in the import matrix: the folder's own name. */
  readonly name: string
  readonly folder: string
  readonly packageName: string
  readonly dependencies: ReadonlySet<string>
  readonly devDependencies: ReadonlySet<string>
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Record<string, string>
  readonly devDependencies?: Record<string, string>
}

const manifest = (path: string): Manifest => JSON.parse(read(path)) as Manifest

export const rootDevDependencies: ReadonlySet<string> = new Set(Object.keys(manifest("package.json").devDependencies ?? {}))

export const workspaces: ReadonlyArray<Workspace> = paths
  .filter((path) => /^(schemas|test|packages\/[^/]+|services\/[^/]+)\/package\.json$/.test(path))
  .map((path) => {
    const folder = path.slice(0, -"/package.json".length)
    const { name, dependencies = {}, devDependencies = {} } = manifest(path)
    return {
      name: folder.split("/").at(-1) as string,
      folder,
      packageName: name,
      dependencies: new Set(Object.keys(dependencies)),
      devDependencies: new Set(Object.keys(devDependencies))
    }
  })

export const workspaceOf = (path: string): Workspace | undefined =>
  workspaces.find((workspace) => path.startsWith(`${workspace.folder}/`))

/** The package a bare specifier names: `@scope/name` or `name`; undefined for relative ones and Node's own. */
export const packageOf = (specifier: string): string | undefined => {
  if (specifier.startsWith(".") || specifier.startsWith("node:") || specifier.startsWith("/")) return undefined
  const parts = specifier.split("/")
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0]
}

/** True for what ships: neither a test nor a tool of the repository. */
export const isProduct = (path: string): boolean => /^(schemas|packages\/[^/]+|services\/[^/]+)\/(src|bin)\//.test(path)

/** `path:line` of every match of a pattern in code, comments and string contents blanked. */
export const occurrences = (source: Source, pattern: RegExp): Array<string> =>
  [...source.code.matchAll(pattern)].map((match) => `${source.path}:${lineOf(source.code, match.index)}`)

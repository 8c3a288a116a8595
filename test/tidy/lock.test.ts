/**
 * The lock file is what npm would write: whoever installs a clone finds its tree as clean as before.
 *
 * npm adds what is missing, above all the optional packages of other platforms, which npm itself leaves out of a lock file that
 * it makes where some packages are installed already.
 */
import { describe, expect, it } from "vitest"
import { read, workspaces } from "./Tree.js"

type Versions = Readonly<Record<string, string>>

interface Entry {
  readonly name?: string
  readonly version?: string
  readonly link?: boolean
  readonly resolved?: string
  readonly dependencies?: Versions
  readonly devDependencies?: Versions
  readonly optionalDependencies?: Versions
  readonly peerDependencies?: Versions
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

const entries = (JSON.parse(read("package-lock.json")) as { readonly packages: Readonly<Record<string, Entry>> }).packages

/** Where Node finds a package from a folder: its own node_modules, then those of the folders above. */
const isFound = (from: string, name: string): boolean => {
  for (let folder = from; ; ) {
    if (entries[folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`] !== undefined) return true
    if (folder === "") return false
    const above = folder.lastIndexOf("/node_modules/")
    folder = above === -1 ? "" : folder.slice(0, above)
  }
}

describe("the lock file", () => {
  it("has every workspace as its package.json is", () => {
    const wrong = workspaces.flatMap(({ folder, packageName }) => {
      const { name, version, dependencies, devDependencies } = JSON.parse(read(`${folder}/package.json`)) as Entry
      const entry = entries[folder]
      expect(entry, folder).toMatchObject({ version })
      expect([entry?.dependencies, entry?.devDependencies], folder).toEqual([dependencies, devDependencies])
      const link = entries[`node_modules/${packageName}`]
      return link?.link === true && link.resolved === folder ? [] : [`${name} is not linked`]
    })
    expect(wrong).toEqual([])
  })

  it("has one version for all, which the broker tells", () => {
    const versions = workspaces.map(({ folder }) => entries[folder]?.version)
    expect(new Set([...versions, (JSON.parse(read("package.json")) as Entry).version]).size).toBe(1)
    expect(read("services/server/src/Version.ts")).toContain(`version = "${versions[0]}"`)
  })

  it("has every package that another one wants, those of other platforms too", () => {
    const missing = Object.entries(entries).flatMap(([folder, entry]) => {
      const { dependencies, optionalDependencies, peerDependencies = {}, peerDependenciesMeta = {} } = entry
      const peers = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
      return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]
        .filter((name) => !isFound(folder, name))
        .map((name) => `${name}, wanted by ${folder}`)
    })
    expect(missing).toEqual([])
  })

  it("names no registry", () => {
    const named = Object.entries(entries).filter(([, { resolved }]) => resolved?.includes("://") === true)
    expect(named.map(([folder]) => folder)).toEqual([])
  })
})

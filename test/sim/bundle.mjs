/**
 * Bundles `Main.ts` (or another entry) with all of this repository's sources that it needs; what is installed stays outside. The bundle lies below
 * `node_modules/.cache`, so that it finds what is installed.
 */
import { rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build } from "esbuild"
import { mutation } from "./mutants.mjs"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Packages of the repository go in, everything else that is installed stays outside. */
const installedOutside = {
  name: "installed-outside",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path }) => (/^@?effectmq(\/|$)/.test(path) ? undefined : { path, external: true }))
  }
}

/** Answers the URL of the bundle. `plugins` may change what goes in; `name` keeps their bundles apart. */
export const bundleSimulation = async (name = "main", entry = "test/sim/Main.ts", plugins = []) => {
  const outfile = join(root, "node_modules", ".cache", "effectmq-simulation", `${name}.mjs`)
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["source"],
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [...plugins, installedOutside]
  })
  return pathToFileURL(outfile).href
}

/** The simulations with a bug in them: a module like `Suites.ts`. */
export const bundleMutant = (name) =>
  bundleSimulation(`mutant-${name.replaceAll(/[^a-z]+/g, "-")}`, "test/sim/Suites.ts", [mutation(name)])

export const removeBundle = (url) => rmSync(fileURLToPath(url), { force: true })

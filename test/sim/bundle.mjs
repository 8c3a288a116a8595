/**
 * Bundles `Main.ts` with all of this repository's sources that it needs; what is installed stays outside. The bundle lies below
 * `node_modules/.cache`, so that it finds what is installed.
 */
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build } from "esbuild"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Packages of the repository go in, everything else that is installed stays outside. */
const installedOutside = {
  name: "installed-outside",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path }) => (/^@?effectmq(\/|$)/.test(path) ? undefined : { path, external: true }))
  }
}

/** Answers the URL of the bundle. `plugins` may change what goes in; `name` keeps their bundles apart. */
export const bundleSimulation = async (name = "main", plugins = []) => {
  const outfile = join(root, "node_modules", ".cache", "effectmq-simulation", `${name}.mjs`)
  await build({
    absWorkingDir: root,
    entryPoints: ["test/sim/Main.ts"],
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

/**
 * Bundles the command line, with the broker in it, into `services/cli/dist/bundle`: a few files are read several times faster
 * than a thousand. Does nothing where no input is newer than the bundle.
 *
 * The bundle is a copy of what `tsc -b` made, no more: `bin/effectmq.js` runs the compiled files themselves where they are newer.
 */
import { readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = join(root, "services", "cli", "dist", "bundle")
const inputsPath = join(folder, "inputs.json")

/** Machine code and its loaders, and what `ws` and `msgpackr` use only where it is there. */
const external = ["better-sqlite3", "@node-rs/*", "msgpackr-extract", "bufferutil", "utf-8-validate"]

const isFresh = () => {
  try {
    const madeAtMs = statSync(inputsPath).mtimeMs
    const inputs = [".ci/bundle.mjs", ...JSON.parse(readFileSync(inputsPath, "utf8"))]
    return inputs.every((path) => statSync(join(root, path)).mtimeMs < madeAtMs)
  } catch {
    return false
  }
}

/** A CommonJS file that is imported on demand has no names in a bundle: only modules may be. */
const importedOnDemandOnlyModules = ({ inputs }) => {
  for (const [path, { imports }] of Object.entries(inputs)) {
    const wrong = imports.find((each) => each.kind === "dynamic-import" && inputs[each.path]?.format === "cjs")
    if (wrong !== undefined) throw new Error(`${path} imports ${wrong.path} on demand, which is CommonJS`)
  }
}

/** Brings the bundle up to date; throws where that fails, and leaves none then. */
export const bundle = async () => {
  const startedAt = new Date()
  // A compilation that made the same files again is no reason to make the bundle again, only to say that it is newer.
  if (isFresh()) return utimesSync(inputsPath, startedAt, startedAt)
  rmSync(inputsPath, { force: true })
  const { build } = createRequire(import.meta.url)("esbuild")
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["services/cli/dist/main.js"],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: true,
    metafile: true,
    legalComments: "none",
    logLevel: "warning",
    external,
    // For CommonJS packages inside.
    banner: { js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url)' }
  })
  importedOnDemandOnlyModules(metafile)
  const made = new Set(Object.keys(metafile.outputs).map((path) => join(root, path)))
  for (const name of readdirSync(folder)) if (!made.has(join(folder, name))) rmSync(join(folder, name))
  writeFileSync(inputsPath, JSON.stringify(Object.keys(metafile.inputs)))
  // What changed while it was made is not in it.
  utimesSync(inputsPath, startedAt, startedAt)
}

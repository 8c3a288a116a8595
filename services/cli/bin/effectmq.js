#!/usr/bin/env node
/**
 * Starts the command line: its bundle, or the compiled files where there is no bundle or something was compiled since.
 */
import { existsSync, readdirSync, statSync } from "node:fs"
import module from "node:module"
import process from "node:process"

const from = (path) => new URL(path, import.meta.url)
const bundle = from("../dist/bundle/main.js")

/** In a clone: when each package was compiled last. */
const compiledFiles = () =>
  ["../../../packages/", "../../"]
    .filter((folder) => existsSync(from(folder)))
    .flatMap((folder) => readdirSync(from(folder)).map((name) => from(`${folder}${name}/dist/.tsbuildinfo`)))
    .concat(from("../../../schemas/dist/.tsbuildinfo"))

const bundleIsFresh = () => {
  const madeAtMs = statSync(from("../dist/bundle/inputs.json"), { throwIfNoEntry: false })?.mtimeMs
  return (
    madeAtMs !== undefined &&
    compiledFiles().every((path) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) <= madeAtMs)
  )
}

if (!existsSync(from("../dist/main.js"))) {
  process.stderr.write("effectmq: this clone is not compiled yet: run npm run build in it, or npm start, which does that first\n")
  process.exit(1)
}

// Node 22 and later keep compiled code between runs.
module.enableCompileCache?.()
await import(bundleIsFresh() ? bundle.href : "../dist/main.js")

/**
 * Every suite of the repository, one project per workspace and per ring of `test/`.
 *
 * Run all with `vitest run --config vitest.workspace.ts`, one with `--project <name>`. Imports between packages resolve to
 * their TypeScript sources (the condition `source`), so unit tests need no build; the suites that start the real process
 * (clients, chaos, scale) do.
 */
import { existsSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const root = fileURLToPath(new URL(".", import.meta.url))
const conditions = ["source", "module", "node", "development|production"]

const project = (name: string, folder: string, limits: { testMs: number; alone?: boolean } = { testMs: 30_000 }) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["node"] } },
  test: {
    name,
    root: `${root}${folder}`,
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    environment: "node" as const,
    pool: "forks" as const,
    poolOptions: { forks: { singleFork: limits.alone === true } },
    testTimeout: limits.testMs,
    hookTimeout: limits.testMs,
    teardownTimeout: 20_000,
    server: { deps: { inline: [/^@effectmq\//, /^effectmq/] } }
  }
})

const below = (folder: string) =>
  readdirSync(`${root}${folder}`, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(`${root}${folder}/${entry.name}/package.json`))
    .map((entry) => project(entry.name, `${folder}/${entry.name}/test`))

const ring = (name: string, limits: { testMs: number; alone?: boolean }) =>
  existsSync(`${root}test/${name}`) ? [project(name, `test/${name}`, limits)] : []

export default defineConfig({
  test: {
    passWithNoTests: true,
    pool: "forks",
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    projects: [
      project("schemas", "schemas/test"),
      ...below("packages"),
      ...below("services"),
      ...ring("tidy", { testMs: 60_000 }),
      ...ring("conformance", { testMs: 60_000 }),
      ...ring("sim", { testMs: 120_000 }),
      ...ring("clients", { testMs: 60_000, alone: true }),
      ...ring("chaos", { testMs: 300_000, alone: true }),
      ...ring("scale", { testMs: 300_000, alone: true })
    ]
  }
})

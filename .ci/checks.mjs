/**
 * Runs what must hold before a change is taken: set up, the tests (README's command), types, lint and the tidy rules.
 *
 * The last line is `N passed, N failed`: every test counts, and each other check counts as one. Exits 1 when anything
 * failed or a test file could not run. Each step has a time limit, all of them together stay under 25 minutes.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const reports = mkdtempSync(join(tmpdir(), "effectmq-checks-"))
const countsPath = join(reports, "counts.json")

/** Runs one command in a process group of its own and ends the group when its time is up; resolves with success. */
const step = (title, command, args, minutesMax) =>
  new Promise((resolve) => {
    const startedAt = Date.now()
    process.stdout.write(`\n== ${title}: ${command} ${args.join(" ")}\n`)
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, CI: "true", CHECKS_COUNTS: countsPath },
      detached: true
    })
    const timer = setTimeout(() => {
      process.stdout.write(`== ${title}: not done after ${minutesMax} minutes, ended\n`)
      process.kill(-child.pid, "SIGKILL")
    }, minutesMax * 60_000)
    const done = (ok) => {
      clearTimeout(timer)
      const seconds = Math.round((Date.now() - startedAt) / 1000)
      process.stdout.write(`== ${title}: ${ok ? "passed" : "FAILED"} after ${seconds} s\n`)
      resolve(ok)
    }
    child.on("error", () => done(false))
    child.on("exit", (code) => done(code === 0))
  })

let passed = 0
let failed = 0

if (!(await step("set up", "node", [".ci/setup.mjs", "--test-tools"], 7))) failed += 1

// What the set-up left of its time is theirs; the rest needs four minutes at most.
const testMinutes = 21 - Math.ceil(performance.now() / 60_000)
const testsOk = await step(
  "tests",
  "npm",
  ["test", "--", "--reporter=default", "--reporter=./.ci/CountReporter.mjs"],
  testMinutes
)
if (existsSync(countsPath)) {
  const counts = JSON.parse(readFileSync(countsPath, "utf8"))
  passed += counts.passed
  failed += counts.failed
}
if (!testsOk && failed === 0) failed += 1

for (const [title, script, minutesMax] of [
  ["types", "check", 2],
  ["lint", "lint", 1],
  ["tidy", "tidy", 1]
]) {
  if (await step(title, "npm", ["run", "--silent", script], minutesMax)) passed += 1
  else failed += 1
}

rmSync(reports, { recursive: true, force: true })
process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exit(failed === 0 ? 0 : 1)

/**
 * A calendar's clock that a test sets, for one process: Debian's libfaketime answers its system calls for the time of day. How long
 * something takes (the monotonic clock) stays true, as it does when somebody sets the clock of a machine.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { needs } from "./Tool.js"

/** One folder for each architecture that has it. */
const findLibrary = (): string | undefined => {
  const root = "/usr/lib"
  if (!existsSync(root)) return undefined
  const paths = readdirSync(root).map((name) => join(root, name, "faketime", "libfaketimeMT.so.1"))
  return paths.find((path) => existsSync(path))
}

/** Its command says so: the Debian package of the command brings the library. */
const tool = "faketime"

export class FalseClock {
  private readonly folder = mkdtempSync(join(tmpdir(), "effectmq-clock-"))
  private readonly path = join(this.folder, "ahead")
  /** Of the process whose clock it is. */
  readonly environment: Readonly<Record<string, string>>

  private constructor(library: string) {
    this.environment = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.path,
      // Read again for every look at the clock.
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1"
    }
    this.aheadBy(0)
  }

  static make(): FalseClock {
    const library = findLibrary()
    if (library === undefined) throw new Error(`${tool} is there, and its library is not`)
    return new FalseClock(library)
  }

  /** Whether a process can be told another time here; says so where the suite did not run for it. */
  static isPossible(suite: string): boolean {
    if (!needs(suite, tool)) return false
    let why = "its library is not where Debian has it"
    if (findLibrary() !== undefined) {
      const clock = FalseClock.make()
      clock.aheadBy(-86_400)
      const env = { ...process.env, ...clock.environment }
      const { stdout } = spawnSync(process.execPath, ["-p", "Date.now()"], { env, encoding: "utf8" })
      clock.remove()
      const behindMs = Date.now() - Number(stdout)
      if (behindMs >= 86_400_000 && behindMs < 90_000_000) return true
      why = `the clock of a process that was set a day back is behind by ${behindMs} ms`
    }
    console.warn(`did not run: ${suite} needs a ${tool} that works: ${why}`)
    return false
  }

  /** From now on its clock is ahead of the true one by so much; below 0: behind. */
  aheadBy(seconds: number): void {
    const next = `${this.path}.next`
    writeFileSync(next, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}\n`)
    renameSync(next, this.path)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

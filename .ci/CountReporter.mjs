/**
 * A Vitest reporter that counts: after every test file it writes how many tests passed and failed so far to the file named by
 * CHECKS_COUNTS, so that a run that is ended early has counted too.
 */
import { writeFileSync } from "node:fs"

export default class CountReporter {
  passed = 0
  failed = 0

  onTestModuleEnd(module) {
    let failedHere = 0
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === "passed") this.passed++
      else if (state === "failed") failedHere++
    }
    // A file that could not be loaded, or whose hooks failed, has no test that could fail: it counts as one.
    if (failedHere === 0 && !module.ok()) failedHere = 1
    this.failed += failedHere
    const path = process.env.CHECKS_COUNTS
    if (path !== undefined) writeFileSync(path, JSON.stringify({ passed: this.passed, failed: this.failed }))
  }
}

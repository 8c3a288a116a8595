/**
 * Calls with side effects stay in the packages that own them; each failure names what to use instead.
 */
import { describe, expect, it } from "vitest"
import { isProduct, occurrences, type Source, sources } from "./Tree.js"

const product = sources.filter((source) => isProduct(source.path))
const isPure = (source: Source) => /\/src\/(.*\/)?(core|codec)\//.test(source.path) || source.path.startsWith("schemas/src/")

const importsOf = (pattern: RegExp, allowed: RegExp, instead: string) =>
  product
    .filter((source) => !allowed.test(source.path))
    .flatMap((source) =>
      source.imports
        .filter((one) => !one.typeOnly && pattern.test(one.specifier))
        .map((one) => `${source.path}:${one.line}: ${one.specifier}; ${instead}`)
    )

const callsOf = (among: ReadonlyArray<Source>, pattern: RegExp, instead: string) =>
  among.flatMap((source) => occurrences(source, pattern).map((at) => `${at}: ${instead}`))

describe("calls", () => {
  it("node:fs only in storage, where network reads its certificates, and before the command line is loaded", () => {
    const allowed = /^(packages\/storage\/|packages\/network\/src\/internal\/Certificates\.ts$|services\/cli\/bin\/effectmq\.js$)/
    expect(importsOf(/^(node:)?fs(\/|$)/, allowed, "use the storage ports, or the platform's FileSystem in services")).toEqual([])
  })

  it("sockets and HTTP only in network and services", () => {
    const allowed = /^(packages\/network|services\/[^/]+)\//
    expect(importsOf(/^(node:)?(net|tls|https?|http2|dgram)$|^ws$/, allowed, "use the listeners of network")).toEqual([])
  })

  it("Node's modules by their node: names", () => {
    const bare = /^(fs|net|tls|https?|path|os|crypto|events|stream|util|url|zlib|child_process|worker_threads|buffer|assert)$/
    expect(importsOf(bare, /^$/, "write node:<name>")).toEqual([])
  })

  it("process only in services, and where simulations take its place", () => {
    const among = product.filter((source) => !/^(services|packages\/testing)\//.test(source.path))
    const pattern = /(?<![.\w$])process\s*(\.|\[)/g
    expect(callsOf(among, pattern, "process belongs to services; take it as configuration or a port")).toEqual([])
  })

  it("no clock, randomness or timer in core/ and codec/", () => {
    const pattern =
      /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bMath\.random\b|(?<![.\w$])(setTimeout|setInterval|setImmediate|queueMicrotask)\s*\(|\bhrtime\b/g
    expect(callsOf(product.filter(isPure), pattern, "time is a tick and randomness an argument")).toEqual([])
  })

  it("no effects in core/ and codec/", () => {
    const pattern =
      /^effect\/(Effect|Layer|Runtime|Fiber|Queue|Mailbox|Stream|Schedule|Clock|Random|Ref|Deferred|Scope)$|^@effect\//
    const wrong = product
      .filter((source) => isPure(source) && !source.path.startsWith("schemas/"))
      .flatMap((source) =>
        source.imports
          .filter((one) => !one.typeOnly && pattern.test(one.specifier))
          .map((one) => `${source.path}:${one.line}: ${one.specifier}; what is pure runs no effects`)
      )
    expect(wrong).toEqual([])
  })

  it("console only in the command line", () => {
    const among = product.filter((source) => !source.path.startsWith("services/cli/"))
    expect(callsOf(among, /(?<![.\w$])console\s*\./g, "use Effect's logger")).toEqual([])
  })

  it("nothing evaluates text as code", () => {
    expect(callsOf(product, /(?<![.\w$])eval\s*\(|\bnew Function\s*\(/g, "write the function")).toEqual([])
  })
})

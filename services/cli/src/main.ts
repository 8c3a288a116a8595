/**
 * Entry of the command line: runs the command and turns its failure into a line on standard error and an exit code.
 */
import process from "node:process"
import { version } from "@effectmq/server/Version"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { CliFailure, exitCodes, usage } from "./CliFailure.js"
import { commands, effectmq } from "./Effectmq.js"
import * as Help from "./Help.js"
import { line } from "./Output.js"

const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return 0
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) {
    // The command's own parser has said already what is wrong.
    if (ValidationError.isValidationError(failure.value)) return exitCodes.usage
    if (failure.value instanceof CliFailure) {
      process.stderr.write(`effectmq: ${failure.value.message}\n`)
      return exitCodes[failure.value.kind]
    }
  }
  process.stderr.write(`effectmq: ${Cause.pretty(exit.cause, { renderErrorCause: true })}\n`)
  return exitCodes.failed
}

const words = process.argv.slice(2)
const found = Help.find(effectmq, commands, words)
const beforeOperands = words.includes("--") ? words.slice(0, words.indexOf("--")) : words

/** A group of commands alone is a question too. */
const helpWanted = beforeOperands.some((word) => word === "--help" || word === "-h") || (found.bare && found.children.length > 0)

/** The parser takes an option that lacks its value for one that it does not know. */
const lacksValue = (plain: string): string | undefined => {
  const option = /^Received unknown argument: '(--[a-z-]+)'$/.exec(plain)?.[1]
  const takesValue = option !== undefined && new RegExp(`${option} [a-z]`).test(Help.page(found))
  return takesValue && !/^[^-]/.test(words[words.indexOf(option) + 1] ?? "") ? `${option} wants a value` : undefined
}

/** What the parser says of wrong usage: plain, and with where to read more. */
const printUsage = (text: unknown) => {
  const said = String(text)
    .replace(/\u001b\[[0-9;]*m/g, "")
    .trim()
  const plain = lacksValue(said) ?? said
  process.stderr.write(`effectmq: ${plain}\nSee ${found.path.join(" ")} --help\n`)
}

const command = Effect.gen(function* () {
  if (helpWanted) return yield* line(Help.page(found))
  const unknown = Help.unknownCommand(found, words)
  if (unknown !== undefined) return yield* Effect.fail(usage(unknown))
  const console = { ...(yield* Console.consoleWith(Effect.succeed)) }
  console.error = (text: unknown) => Effect.sync(() => printUsage(text))
  return yield* Console.withConsole(Command.run(effectmq, { name: "effectmq", version })(process.argv), console)
})

const fiber = Effect.runFork(Effect.provide(command, NodeContext.layer))

// Whoever reads our output may have had enough, as `head` does.
process.stdout.on("error", (error: Error & { readonly code?: string }) => {
  if (error.code === "EPIPE") process.exit(0)
  throw error
})

// One Ctrl-C can arrive twice: from the terminal, and from npm, which passes it on.
const sameSignalMs = 500

let stoppingSinceMs: number | undefined
const stop = () => {
  const nowMs = performance.now()
  if (stoppingSinceMs === undefined) {
    stoppingSinceMs = nowMs
    Effect.runFork(Fiber.interruptAsFork(fiber, fiber.id()))
  } else if (nowMs - stoppingSinceMs > sameSignalMs) {
    // The first signal asked, the second one does not wait.
    process.exit(exitCodes.failed)
  }
}
process.on("SIGINT", stop)
process.on("SIGTERM", stop)

fiber.addObserver((exit) => {
  process.exit(exitCodeOf(exit))
})

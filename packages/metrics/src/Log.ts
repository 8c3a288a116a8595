/**
 * The log of a node: replaces Effect's default logger by one line per event, JSON for machines or text for a terminal.
 *
 * Written to standard error, so that what a command answers on standard output stays clean. Secrets are never printed; see
 * `core/LogLine`.
 */
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as List from "effect/List"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Tty from "node:tty"
import { isLive, liveOf, type Options } from "@effectmq/schemas/config/Live"
import { formatLine, type LogFormat } from "./core/LogLine.js"

export const levels = ["trace", "debug", "info", "warn", "error", "fatal", "none"] as const
export type Level = (typeof levels)[number]

export interface LogOptions {
  /** `auto` (default): `text` where standard error is a terminal, else `json`. */
  readonly format?: LogFormat | "auto"
  /** The least level that is written; default `info`. `none` writes nothing. */
  readonly level?: Options<Level>
  /** Takes each line, without its line break; default: standard error. */
  readonly write?: (line: string) => void
}

const logLevelByName: Readonly<Record<Level, LogLevel.LogLevel>> = {
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  error: LogLevel.Error,
  fatal: LogLevel.Fatal,
  none: LogLevel.None
}

const levelName = (level: LogLevel.LogLevel): string => (level._tag === "Warning" ? "warn" : level._tag.toLowerCase())

const standardErrorDescriptor = 2

export const make = (options: LogOptions = {}): Logger.Logger<unknown, void> => {
  const terminal = options.write === undefined && Tty.isatty(standardErrorDescriptor)
  const wanted = options.format ?? "auto"
  const format: LogFormat = wanted === "auto" ? (terminal ? "text" : "json") : wanted
  const write = options.write ?? ((line: string) => globalThis.console.error(line))
  const least = liveOf<Level>(options.level ?? "info")
  return Logger.make(({ annotations, cause, date, logLevel, message, spans }) => {
    if (LogLevel.lessThan(logLevel, logLevelByName[least.current])) return
    const timeMs = date.getTime()
    const spansMs: Record<string, number> = {}
    for (const span of List.toArray(spans)) spansMs[span.label] = timeMs - span.startTime
    write(
      formatLine(
        {
          timeMs,
          level: levelName(logLevel),
          message: Array.isArray(message) ? message : [message],
          annotations: Object.fromEntries(HashMap.toEntries(annotations)),
          spansMs,
          cause: Cause.isEmpty(cause) ? undefined : Cause.pretty(cause, { renderErrorCause: true })
        },
        format,
        terminal
      )
    )
  })
}

/** Replaces the default logger and sets the least level: Effect's own, where it stays, so that what is below it costs nothing. */
export const layer = (options: LogOptions = {}): Layer.Layer<never> => {
  const level: Options<Level> = options.level ?? "info"
  return Layer.merge(
    Logger.replace(Logger.defaultLogger, make(options)),
    Logger.minimumLogLevel(isLive(level) ? LogLevel.All : logLevelByName[level])
  )
}

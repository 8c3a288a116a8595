/**
 * What commands print: tables and sentences for people, JSON for scripts; all on standard output. Standard error is for errors.
 */
import process from "node:process"
import * as Effect from "effect/Effect"

export type Cell = string | number | boolean | null | undefined

// What comes from clients may hold control characters: a terminal must not obey them.
const printable = (text: string): string =>
  text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

const cellToString = (cell: Cell): string =>
  cell === undefined || cell === null ? "-" : cell === true ? "yes" : cell === false ? "no" : printable(String(cell))

/** Columns aligned, two spaces between. */
export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  const cells = [
    heads.map((head) => head.toUpperCase()),
    ...rows.map((row) => row.map((cell) => cellToString(cell).replace(/\n/g, "\\n")))
  ]
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)))
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

export const line = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stdout.write(`${printable(text)}\n`)
  })

export const json = (value: unknown): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`)
  })

/** A list as a table, or as JSON. */
export const list = <A>(
  asJson: boolean,
  items: ReadonlyArray<A>,
  heads: ReadonlyArray<string>,
  row: (item: A) => ReadonlyArray<Cell>
): Effect.Effect<void> => (asJson ? json(items) : line(table(heads, items.map(row))))

/** One thing, field by field, or as JSON. */
export const record = (
  asJson: boolean,
  value: unknown,
  fields: ReadonlyArray<readonly [name: string, value: Cell]>
): Effect.Effect<void> => {
  if (asJson) return json(value)
  const width = Math.max(...fields.map(([name]) => name.length))
  return line(fields.map(([name, cell]) => `${name.padEnd(width)}  ${cellToString(cell)}`).join("\n"))
}

/** What was done: a sentence for people, the value for scripts. */
export const done = (asJson: boolean, sentence: string, value: unknown = { done: true }): Effect.Effect<void> =>
  asJson ? json(value) : line(sentence)

/** Wall-clock ms as a date, "-" for none. */
export const date = (ms: number | undefined | null): string =>
  ms === undefined || ms === null || ms === 0
    ? "-"
    : new Date(ms)
        .toISOString()
        .replace("T", " ")
        .replace(/\.\d+Z$/, "Z")

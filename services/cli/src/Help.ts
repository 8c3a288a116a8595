/**
 * What `--help` prints: one line for each command, argument and option, no wider than a terminal. It is made from the same
 * descriptions as the parser, whose own pages are many screens long.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as CommandDescriptor from "@effect/cli/CommandDescriptor"
import type { HelpDoc } from "@effect/cli/HelpDoc"
import type { Span } from "@effect/cli/HelpDoc/Span"
import * as HashMap from "effect/HashMap"

type Descriptor = CommandDescriptor.Command<unknown>

/** A command as `Command.make` makes it. */
interface Described {
  readonly descriptor: Descriptor
}

export interface Found {
  /** The words of the command, `effectmq` first. */
  readonly path: ReadonlyArray<string>
  readonly help: HelpDoc
  readonly children: ReadonlyArray<readonly [name: string, command: Descriptor]>
  /** Whether the words name a command and nothing comes after them. */
  readonly bare: boolean
}

const config = CliConfig.make({ showBuiltIns: false })
const widthMax = 110
const textMax = 34

/** Those one level below; a command without any tells itself. */
const childrenOf = (command: Descriptor, name: string): Found["children"] =>
  HashMap.toEntries(CommandDescriptor.getSubcommands(command))
    .filter(([child]) => child !== name)
    .sort(([left], [right]) => (left < right ? -1 : 1))

/** The command that the words name, as far as they name one: the root, one of its commands, or one of theirs. */
export const find = (root: Described, commands: ReadonlyArray<Described>, words: ReadonlyArray<string>): Found => {
  const path = ["effectmq"]
  let command = root.descriptor
  // Seen from the root a group of commands looks like a single one: the group itself is asked.
  let children = commands.map(({ descriptor }) => [[...CommandDescriptor.getNames(descriptor)].join(), descriptor] as const)
  for (const word of words) {
    const child = children.find(([name]) => name === word)
    if (child === undefined) break
    path.push(word)
    command = child[1]
    children = [...childrenOf(command, word)]
  }
  return { path, help: CommandDescriptor.getHelp(command, config), children, bare: words.length === path.length - 1 }
}

const spanToString = (span: Span): string =>
  span._tag === "Sequence"
    ? spanToString(span.left) + spanToString(span.right)
    : typeof span.value === "string"
      ? span.value
      : spanToString(span.value)

const flatten = (doc: HelpDoc): ReadonlyArray<HelpDoc> =>
  doc._tag === "Sequence" ? [...flatten(doc.left), ...flatten(doc.right)] : [doc]

const paragraphs = (doc: HelpDoc): ReadonlyArray<string> =>
  flatten(doc).flatMap((part) => (part._tag === "Paragraph" ? [spanToString(part.value)] : []))

/** A word where a command should be, and is none; undefined where the parser knows better what is wrong. */
export const unknownCommand = ({ path, children }: Found, words: ReadonlyArray<string>): string | undefined => {
  const word = words[path.length - 1]
  return children.length === 0 || word === undefined || word.startsWith("-")
    ? undefined
    : `${path.join(" ")} has no command ${word}; it has ${children.map(([name]) => name).join(", ")}`
}

/** What the name of the option says already. */
const isNoise = (text: string): boolean =>
  /^(A user-defined |A true or false |An integer|A floating |One of the following|This option may be repeated|This option must be repeated|This argument may)/.test(
    text
  )

/** `This setting is optional. Defaults to: 5` */
const defaultOf = (texts: ReadonlyArray<string>): string => {
  const found = texts.map((text) => /Defaults to: (.+)$/.exec(text)?.[1]).find((value) => value !== undefined)
  return found === undefined ? "" : ` (default ${found})`
}

const rowOf = (name: Span, about: HelpDoc): readonly [string, string] => {
  const texts = paragraphs(about)
  const said = texts.filter((text) => !isNoise(text) && !text.startsWith("This setting is optional"))
  const bare = spanToString(name)
    .replace(/ redacted\b/, " text")
    .replace(/^\((-.*)\) 1\+$/, "($1)...")
    .replace(/^\((-.*)\)(\.\.\.)?$/, "$1$2")
  return [bare.startsWith("--") ? `    ${bare}` : bare, `${said.join(". ")}${defaultOf(texts)}`]
}

/** The definitions below each headline. */
const sectionsOf = (doc: HelpDoc): ReadonlyMap<string, ReadonlyArray<readonly [string, string]>> => {
  const sections = new Map<string, Array<readonly [string, string]>>()
  let head = ""
  for (const part of flatten(doc)) {
    if (part._tag === "Header") head = spanToString(part.value)
    else if (part._tag === "DescriptionList" && head !== "COMMANDS") {
      const rows = sections.get(head) ?? []
      rows.push(...part.definitions.map(([name, about]) => rowOf(name, about)))
      sections.set(head, rows)
    }
  }
  return sections
}

const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = [""]
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1] ?? ""
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`
  }
  return lines
}

const columns = (rows: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> => {
  const width = Math.min(textMax, Math.max(...rows.map(([name]) => name.length)))
  return rows.flatMap(([name, about]) => {
    const lines = wrap(about, widthMax - width - 4)
    const first =
      name.length > width ? [`  ${name}`, `  ${"".padEnd(width)}  ${lines[0]}`] : [`  ${name.padEnd(width)}  ${lines[0]}`]
    return [...first, ...lines.slice(1).map((line) => `  ${"".padEnd(width)}  ${line}`)].map((line) => line.trimEnd())
  })
}

const describedAs = (doc: HelpDoc): string => {
  const parts = flatten(doc)
  const at = parts.findIndex((part) => part._tag === "Header" && spanToString(part.value) === "DESCRIPTION")
  const next = parts[at + 1]
  return at >= 0 && next?._tag === "Paragraph" ? spanToString(next.value) : ""
}

/** The page of a command. */
export const page = ({ path, help, children }: Found): string => {
  const sections = sectionsOf(help)
  const parameters = sections.get("ARGUMENTS") ?? []
  const options = sections.get("OPTIONS") ?? []
  const usage = [
    ...path,
    ...(children.length > 0 ? ["COMMAND"] : []),
    ...parameters.map(([name]) => name.trim().replace(/ .*$/, "")),
    ...(options.length > 0 ? ["[options]"] : [])
  ].join(" ")
  const lines = [`${path.join(" ")}: ${describedAs(help)}`, "", `Usage: ${usage}`]
  if (parameters.length > 0) lines.push("", ...columns(parameters))
  if (options.length > 0) lines.push("", ...columns(options))
  if (children.length > 0) {
    const rows = children.map(([name, child]) => [name, describedAs(CommandDescriptor.getHelp(child, config))] as const)
    lines.push("", ...columns(rows), "", `${path.join(" ")} COMMAND --help says more about one of them.`)
    if (path.length === 1) lines.push("effectmq --version; effectmq --completions bash | zsh | fish for your shell.")
  }
  return lines.join("\n")
}

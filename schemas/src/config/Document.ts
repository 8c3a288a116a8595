/**
 * The page docs/operations/configuration.md, made from the table of keys.
 */
import { environmentNameOf, keyNames, keyNamed, reservedEnvironmentNames } from "./Settings.js"

const cell = (text: string): string => text.replace(/\|/g, "\\|").replace(/\n/g, " ")

const sections: ReadonlyArray<readonly [prefix: string, title: string]> = [
  ["node.", "Node"],
  ["cluster.", "Cluster"],
  ["data.", "Data"],
  ["storage.", "Storage"],
  ["mqtt.", "MQTT"],
  ["limits.", "Limits"],
  ["alarms.", "Alarms"],
  ["auth.", "Authentication and authorization"],
  ["admin.", "Admin API"],
  ["metrics.", "Metrics"],
  ["sys.", "$SYS topics"],
  ["log.", "Logs"]
]

const row = (name: string): string => {
  const key = keyNamed(name)
  if (key === undefined) throw new Error(`no key ${name}`)
  const fallback = key.fallback === undefined ? "unset" : `\`${JSON.stringify(key.fallback)}\``
  const unit = key.unit === "" ? "" : `, ${key.unit}`
  return `| \`${name}\` | ${cell(fallback)} | ${cell(key.expected)}${unit} | ${cell(key.doc)} |`
}

export const documentation = (): string => {
  const lines = [
    "# Configuration",
    "",
    "This page is for people who run a broker. It is made from the table of keys in `schemas/src/config`; `npx effectmq config document` prints it anew.",
    "",
    "A key can be set in four places; the first that has it wins:",
    "",
    "1. a flag: `effectmq start --set mqtt.tcp.port=21883` (may be repeated)",
    "2. an environment variable: `EFFECTMQ_MQTT_TCP_PORT=21883`. The name is the key in capitals, with `_` for every dot and",
    `   before every inner capital: \`mqtt.session.expirySecondsMax\` is \`${environmentNameOf("mqtt.session.expirySecondsMax")}\``,
    "3. the file named by `--config` or `EFFECTMQ_CONFIG`, YAML or JSON, with nested or dotted keys:",
    "",
    "   ```yaml",
    "   mqtt:",
    "     tcp.port: 21883",
    "     rewrite:",
    "       - { action: publish, source: x/#, regex: ^x/(.+)$, dest: y/$1 }",
    "   ```",
    "",
    "4. its default",
    "",
    "Lists and objects are written as JSON in flags and variables. An unknown key or a wrong value is an error that names the",
    "key, where the value came from, the value and what was expected; nothing is started then. `effectmq config show` prints",
    "every key with its value and where it came from; `effectmq config validate` only checks."
  ]
  for (const [prefix, title] of sections) {
    lines.push("", `## ${title}`, "", "| key | default | value | |", "| --- | --- | --- | --- |")
    lines.push(...keyNames.filter((name) => name.startsWith(prefix)).map(row))
  }
  lines.push("", "## Variables of the command line", "", "| variable | |", "| --- | --- |")
  lines.push(...Object.entries(reservedEnvironmentNames).map(([name, doc]) => `| \`${name}\` | ${cell(doc)} |`))
  return `${lines.join("\n")}\n`
}

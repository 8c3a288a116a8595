/**
 * The page docs/operations/configuration.md, made from the table of keys.
 */
import { atStartGroups, atStartReason } from "./AtStart.js"
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
  const changes = atStartReason(name) === undefined ? "dynamic" : "at start"
  return `| \`${name}\` | ${cell(fallback)} | ${cell(key.expected)}${unit} | ${changes} | ${cell(key.doc)} |`
}

export const documentation = (): string => {
  const lines = [
    "# Configuration",
    "",
    "This page is for people who run a broker. It is made from the table of keys in `schemas/src/config`; `npx effectmq config document` prints it anew.",
    "",
    "A key can be set in five places; the first that has it wins:",
    "",
    "1. the metadata of the cluster, while it runs and for all nodes: `effectmq config set log.level debug`; only where the table",
    "   says `dynamic`",
    "2. a flag: `effectmq start --set mqtt.tcp.port=21883` (may be repeated)",
    "3. an environment variable: `EFFECTMQ_MQTT_TCP_PORT=21883`. The name is the key in capitals, with `_` for every dot and",
    `   before every inner capital: \`mqtt.session.expirySecondsMax\` is \`${environmentNameOf("mqtt.session.expirySecondsMax")}\``,
    "4. the file named by `--config` or `EFFECTMQ_CONFIG`, YAML or JSON, with nested or dotted keys:",
    "",
    "   ```yaml",
    "   mqtt:",
    "     tcp.port: 21883",
    "     rewrite:",
    "       - { action: publish, source: x/#, regex: ^x/(.+)$, dest: y/$1 }",
    "   ```",
    "",
    "5. its default",
    "",
    "Lists and objects are written as JSON in flags and variables. An unknown key or a wrong value is an error that names the",
    "key, where the value came from, the value and what was expected; nothing is started then. `effectmq config show` prints",
    "every key with its value and where it came from; `effectmq config validate` only checks.",
    "",
    "## Changing a running cluster",
    "",
    "```",
    "effectmq config set limits.client.messagesPerSecond 1000",
    "effectmq config show --running limits.client.messagesPerSecond",
    "effectmq config unset limits.client.messagesPerSecond",
    "```",
    "",
    "A change is judged as at start, together with what the node that is asked was started with, and kept in the metadata of the",
    "cluster: it holds on every node at once, on those that join later, and after a restart. What was set so wins over flags,",
    "variables and files, so that a change always takes effect and nodes of one cluster do not differ by how each was started;",
    "`config show --running` tells what it hides. `config unset` gives a node back what it was started with.",
    "",
    "A connection keeps what its CONNACK told it (packet size, QoS, receive maximum, topic aliases, keep alive, what is available)",
    "until it ends; new connections get the new values. Rates, rules, bounds and thresholds hold for everybody from the next",
    "message or use on. What is over a bound that was lowered stays; only nothing more is taken.",
    "",
    "A node leaves aside, with a warning in its log and a word in `config show --running`, what it does not know (a key of a newer",
    "version) and what does not fit together with its own file, variables and flags.",
    "",
    "Keys that are read at start need a restart of the node, because",
    "",
    ...atStartGroups.map(({ keys, reason }) => `- ${reason}: ${keys.map((name) => `\`${name}\``).join(", ")}`)
  ]
  for (const [prefix, title] of sections) {
    lines.push("", `## ${title}`, "", "| key | default | value | changes | |", "| --- | --- | --- | --- | --- |")
    lines.push(...keyNames.filter((name) => name.startsWith(prefix)).map(row))
  }
  lines.push("", "## Variables of the command line", "", "| variable | |", "| --- | --- |")
  lines.push(...Object.entries(reservedEnvironmentNames).map(([name, doc]) => `| \`${name}\` | ${cell(doc)} |`))
  return `${lines.join("\n")}\n`
}

/**
 * `effectmq cluster`: the nodes of a cluster, who takes part, who leads, and snapshots of its metadata.
 */
import process from "node:process"
import { ClusterStatus, SnapshotTaken } from "@effectmq/schemas/admin/Cluster"
import { isNodeAddress } from "@effectmq/schemas/config/ClusterNodes"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type AdminTarget, call, download, nodeOptions } from "../AdminClient.js"
import { failed, usage } from "../CliFailure.js"
import { localNodes, localSecret, runLocalNodes, secretFile } from "../LocalNodes.js"
import { notReplaced, remarksOn, stateOf } from "../NodeStates.js"
import { done, json, line, record, table } from "../Output.js"
import { loadSettings, settingsOptions } from "../SettingsOptions.js"

/** Ports of more would meet those of others. */
const localNodesMax = 9

const nodeId = Args.integer({ name: "node" }).pipe(Args.withDescription("number of the node"))
const address = Args.text({ name: "host:port" }).pipe(Args.withDescription("where the node's RPC listener is"))
const file = Options.text("file").pipe(Options.withDescription("file of the snapshot"))

const checkAddress = (text: string) =>
  isNodeAddress(text) ? Effect.void : Effect.fail(usage(`expected host:port of the node's RPC listener, got ${text}`))

const short = (hash: string | undefined): string | undefined => hash?.slice(0, 12)

const status = Command.make("status", nodeOptions, (options) =>
  Effect.gen(function* () {
    const answer = yield* call(options, { path: ["cluster"] }, ClusterStatus)
    if (options.json) return yield* json(answer)
    yield* record(false, answer, [
      ["cluster", answer.clusterId],
      ["leader", answer.leaderId === 0 ? "none" : `node ${answer.leaderId}`],
      ["term", answer.term]
    ])
    if (answer.stale) yield* line(`No majority answers: this is what node ${answer.askedNodeId} knew last, and it may be old.`)
    yield* line("")
    yield* line(
      table(
        ["node", "name", "address", "part", "role", "state", "term", "log", "committed", "applied", "lag", "image", "hash"],
        answer.nodes.map((node) => [
          node.nodeId,
          node.name,
          node.address,
          node.part,
          node.report?.role,
          stateOf(node),
          node.report?.term,
          node.report && `${node.report.firstIndex}-${node.report.lastIndex}`,
          node.report?.commitIndex,
          node.report?.appliedIndex,
          node.lag,
          node.report?.imageVersion,
          short(node.report?.imageHash)
        ])
      )
    )
    const remarks = remarksOn(answer.nodes)
    if (remarks.length > 0) yield* line(`\n${remarks.join("\n")}`)
  })
).pipe(Command.withDescription("nodes, roles, term, leader, positions in the log, lag and hash of the image"))

/** A node is given a minute to catch up, and a leader must be found before; then the broker says what is wrong. */
const addMsMax = 90_000

const addNode = (target: AdminTarget, node: { readonly nodeId: number; readonly address: string; readonly voter: boolean }) =>
  Effect.zipRight(
    checkAddress(node.address),
    call(target, { method: "POST", path: ["cluster", "nodes"], body: node, answerMsMax: addMsMax }, Schema.Undefined)
  )

const removeNode = (target: AdminTarget, id: number) =>
  call(target, { method: "DELETE", path: ["cluster", "nodes", String(id)] }, Schema.Undefined)

const add = Command.make(
  "add",
  {
    nodeId,
    address,
    learner: Options.boolean("learner").pipe(Options.withDescription("without a vote")),
    ...nodeOptions
  },
  (options) =>
    Effect.zipRight(
      addNode(options, { nodeId: options.nodeId, address: options.address, voter: !options.learner }),
      done(
        options.json,
        options.learner
          ? `Node ${options.nodeId} is taken in as a learner. Give it a vote with effectmq cluster promote ${options.nodeId}.`
          : `Node ${options.nodeId} has caught up and votes.`
      )
    )
).pipe(Command.withDescription("take a node in: as a learner first, and with a vote once it has caught up"))

const promote = Command.make("promote", { nodeId, ...nodeOptions }, (options) =>
  Effect.gen(function* () {
    const known = yield* call(options, { path: ["cluster"] }, ClusterStatus)
    const node = known.nodes.find((one) => one.nodeId === options.nodeId)
    if (node?.address === undefined || node.part === "observer") {
      return yield* Effect.fail(failed(`node ${options.nodeId} is no learner: see effectmq cluster status`))
    }
    yield* addNode(options, { nodeId: options.nodeId, address: node.address, voter: true })
    yield* done(options.json, `Node ${options.nodeId} has caught up and votes.`)
  })
).pipe(Command.withDescription("give a learner a vote"))

const remove = Command.make("remove", { nodeId, ...nodeOptions }, (options) =>
  Effect.zipRight(
    removeNode(options, options.nodeId),
    done(options.json, `Node ${options.nodeId} takes part no more. Its data directory can go once it has been stopped.`)
  )
).pipe(Command.withDescription("take a node out, alive or dead"))

const replace = Command.make(
  "replace",
  {
    dead: Args.integer({ name: "dead" }).pipe(Args.withDescription("number of the node that goes")),
    nodeId,
    address,
    ...nodeOptions
  },
  (options) =>
    Effect.gen(function* () {
      yield* checkAddress(options.address)
      const known = yield* call(options, { path: ["cluster"] }, ClusterStatus)
      if (!known.nodes.some((one) => one.nodeId === options.dead)) {
        return yield* Effect.fail(failed(notReplaced(options, known)))
      }
      // Before anybody goes: the one that comes may be refused, for instance because its number is taken.
      yield* addNode(options, { nodeId: options.nodeId, address: options.address, voter: false })
      yield* removeNode(options, options.dead)
      yield* addNode(options, { nodeId: options.nodeId, address: options.address, voter: true })
      yield* done(options.json, `Node ${options.nodeId} has caught up and votes in place of node ${options.dead}.`)
    })
).pipe(Command.withDescription("take a dead node out and another one in"))

const transfer = Command.make("transfer", { nodeId, ...nodeOptions }, (options) =>
  Effect.zipRight(
    call(options, { method: "POST", path: ["cluster", "leader"], body: { nodeId: options.nodeId } }, Schema.Undefined),
    done(options.json, `Node ${options.nodeId} leads.`)
  )
).pipe(Command.withDescription("let another node lead"))

const snapshot = Command.make("snapshot", nodeOptions, (options) =>
  Effect.gen(function* () {
    const taken = yield* call(options, { method: "POST", path: ["cluster", "snapshot"] }, SnapshotTaken)
    yield* done(
      options.json,
      `Node ${taken.nodeId} has a snapshot of everything up to entry ${taken.index}: ${taken.imageVersion} events in ${taken.bytes} bytes.`,
      taken
    )
  })
).pipe(Command.withDescription("let the node that is asked write a snapshot of the metadata now"))

const exportTo = Command.make("export", { file, ...nodeOptions }, (options) =>
  Effect.gen(function* () {
    const bytes = yield* download({ ...options, tenant: "default" }, ["cluster", "export"])
    const files = yield* FileSystem.FileSystem
    yield* Effect.mapError(files.writeFile(options.file, bytes, { mode: 0o600 }), (error) =>
      failed(`${options.file} cannot be written: ${error.message}`)
    )
    yield* done(
      options.json,
      `The metadata is in ${options.file} (${bytes.length} bytes). It holds password hashes: keep it safe.`,
      {
        file: options.file,
        bytes: bytes.length
      }
    )
  })
).pipe(Command.withDescription("write the metadata to a file"))

const restore = Command.make("restore", { file, ...settingsOptions }, (options) =>
  Effect.gen(function* () {
    const settings = yield* loadSettings(options)
    const { restoreMetadata } = yield* Effect.promise(() => import("@effectmq/server/RestoreMetadata"))
    const restored = yield* Effect.mapError(restoreMetadata(settings, options.file), (error) => failed(error.message))
    const { topics, users, version, dataDir, memberIds } = restored
    yield* line(
      `${topics} topics and ${users} users, as of event ${version}, are restored into ${dataDir}, ` +
        (memberIds.length === 1
          ? `for a cluster of node ${memberIds[0]} alone.`
          : `for a cluster of the nodes ${memberIds.join(", ")}: each of them needs the same restore before its first start.`)
    )
  })
).pipe(Command.withDescription("make an empty data directory begin with the metadata of a file"))

const local = Command.make(
  "local",
  {
    nodes: Options.integer("nodes").pipe(Options.withDescription("how many"), Options.withDefault(3)),
    dataDir: Options.text("data-dir").pipe(
      Options.withDescription("directory with the nodes' data directories"),
      Options.withDefault("./data-local")
    )
  },
  ({ nodes: count, dataDir }) =>
    Effect.gen(function* () {
      if (count < 1 || count > localNodesMax) {
        return yield* Effect.fail(usage(`--nodes: expected a whole number from 1 to ${localNodesMax}, got ${count}`))
      }
      const nodes = localNodes(count, dataDir)
      const secret = yield* localSecret(dataDir)
      yield* line(
        [
          ...nodes.map((node) => `Node ${node.nodeId}: MQTT ${node.mqttPort}, admin ${node.adminPort}, data in ${node.dataDir}`),
          `Their secret, for one more that joins: ${secretFile(dataDir)}`,
          "See effectmq cluster status; Ctrl-C stops them all."
        ].join("\n")
      )
      yield* runLocalNodes(process.argv[1] ?? "", { nodes, secret })
    })
).pipe(Command.withDescription("run a few nodes on this machine, for a try"))

export const cluster = Command.make("cluster").pipe(
  Command.withDescription("nodes of a cluster: look at them, take them in and out"),
  Command.withSubcommands([status, local, add, promote, remove, replace, transfer, snapshot, exportTo, restore])
)

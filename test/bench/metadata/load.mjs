/**
 * The load generator for the metadata: so many clients, each of which changes or reads and waits for the answer. As `alone` it is a node of
 * its own with a store in a folder; as `member` one of a cluster, so that its clients are in the process of a node as well; else an observer
 * of a cluster, a node without a vote as brokers are, whose changes go to the leader.
 *
 * Input: one JSON argument. Output: one line of JSON. A member says "ready" on its standard error, and begins when its input ends.
 */
import { once as happened } from "node:events"
import { performance } from "node:perf_hooks"
import { Belonging } from "@effectmq/metadata/Belonging"
import { Controller } from "@effectmq/metadata/Controller"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as LocalPeer from "@effectmq/metadata/LocalPeer"
import * as MetadataMember from "@effectmq/metadata/MetadataMember"
import * as MetadataRpcServer from "@effectmq/metadata/MetadataRpcServer"
import * as MetadataStore from "@effectmq/metadata/MetadataStore"
import * as ObserverMetadata from "@effectmq/metadata/ObserverMetadata"
import * as RpcClusterPeers from "@effectmq/metadata/RpcClusterPeers"
import * as PrometheusMeters from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import * as SocketNodeTransport from "@effectmq/network/SocketNodeTransport"
import * as RpcRaftTransport from "@effectmq/raft/RpcRaftTransport"
import * as SqliteRaftStore from "@effectmq/raft/SqliteRaftStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

const options = JSON.parse(process.argv[2])
const { clients, kind, warmUpMs, durationMs } = options

const node = (nodeId, roles) => ({ nodeId, name: `load-${nodeId}`, version: "0.2.0", addresses: [], roles })

const alone = () =>
  MetadataStore.layer({ node: node(1, ["meta"]) }).pipe(
    Layer.provide(SqliteRaftStore.layer({ filename: options.filename })),
    Layer.provide(PrometheusMeters.layerMemory)
  )

const member = () => {
  const { filename, member: nodeId, members } = options
  const { address } = members.find((one) => one.nodeId === nodeId)
  const [host, port] = address.split(":")
  const belonging = new Belonging()
  return MetadataMember.ready.pipe(
    Layer.provideMerge(
      MetadataMember.layer({
        node: { ...node(nodeId, ["meta", "broker"]), rpcAddress: address },
        initialMembers: members,
        contacts: members
      })
    ),
    Layer.provide(Layer.mergeAll(RpcClusterPeers.layer, RpcRaftTransport.layer())),
    Layer.provideMerge(MetadataRpcServer.layer),
    Layer.provide(LocalPeer.layer({ nodeId })),
    Layer.provide(
      SocketNodeTransport.layer({ nodeId, belonging: belonging.now, listen: { host, port: Number(port) }, secret: "" })
    ),
    Layer.provide(belonging.layerFirst(members)),
    Layer.provide(SqliteRaftStore.layer({ filename })),
    Layer.provide(ConnectionLimits.layer()),
    Layer.provide(PrometheusMeters.layerMemory)
  )
}

const observer = () =>
  MetadataMember.ready.pipe(
    Layer.provideMerge(ObserverMetadata.layer({ node: node(99, ["broker"]), contacts: options.members })),
    Layer.provide(RpcClusterPeers.layer),
    Layer.provide(LocalPeer.layerObserver({ nodeId: 99 })),
    Layer.provide(SocketNodeTransport.layer({ nodeId: 99, secret: "" })),
    Layer.provide(PrometheusMeters.layerMemory)
  )

const keys = 1000
let issued = 0

const change = (controller, run) => {
  const number = ++issued
  const stamp = { commandId: `${run}-${number}`, atMs: Date.now() }
  return kind === "topics"
    ? controller.submit({
        _tag: "CreateTopic",
        ...stamp,
        tenant: "default",
        name: `bench-${number}`,
        partitions: 1,
        engine: "memory"
      })
    : controller.submit({
        _tag: "PutBan",
        ...stamp,
        tenant: "default",
        kind: "clientId",
        value: `bench-${number % keys}`,
        reason: String(number),
        by: "bench"
      })
}

const work = Effect.gen(function* () {
  const controller = yield* Controller
  const metadata = yield* Metadata
  const run = `bench-${process.pid}-${Date.now()}`
  if (options.member !== undefined) {
    process.stderr.write("ready\n")
    process.stdin.resume()
    yield* Effect.promise(() => happened(process.stdin, "end"))
  }
  const times = []
  const startedAt = performance.now()
  const cpuBefore = process.cpuUsage()
  let operations = 0
  const from = startedAt + warmUpMs
  const until = kind === "topics" ? Number.POSITIVE_INFINITY : from + durationMs
  const once = kind === "reads" ? () => metadata.sync : () => change(controller, run)
  const client = Effect.gen(function* () {
    while (performance.now() < until && (kind !== "topics" || issued < options.topics)) {
      const at = performance.now()
      yield* once()
      const done = performance.now()
      operations++
      if (done >= from && done < until) times.push(done - at)
    }
  })
  yield* Effect.all(
    Array.from({ length: clients }, () => client),
    { concurrency: "unbounded", discard: true }
  )
  const seconds = kind === "topics" ? (performance.now() - startedAt) / 1000 : durationMs / 1000
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))]
  const { user, system } = process.cpuUsage(cpuBefore)
  /** Of this process alone. */
  const cpuMicroseconds = (user + system) / operations
  return {
    cpuMicroseconds,
    perSecond: (kind === "topics" ? options.topics : times.length) / seconds,
    p50: at(0.5),
    p99: at(0.99),
    seconds,
    operations
  }
})

const onStandardError = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))
const place = options.member !== undefined ? member : options.members === undefined ? alone : observer
const parts = Layer.provideMerge(place(), onStandardError)
const result = await Effect.runPromise(Effect.provide(work, parts))
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))

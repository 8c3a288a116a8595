/**
 * `/cluster`: its nodes, who takes part, who leads, and snapshots of its metadata.
 */
import { AddNodeBody, TransferBody } from "@effectmq/schemas/admin/Cluster"
import { ClusterControl } from "@effectmq/metadata/ClusterControl"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { audited, badRequest, body, done, ofMetadata, ok, pathPart } from "./AdminRequest.js"

/** Changes of the cluster belong to no tenant. */
const auditedChange = (change: string, target: string | number) => audited("", change, String(target))

const status = Effect.flatMap(ClusterControl, (cluster) => Effect.map(cluster.status, ok))

const addNode = Effect.gen(function* () {
  const node = yield* body(AddNodeBody)
  const cluster = yield* ClusterControl
  yield* Effect.mapError(cluster.addNode(node), ofMetadata)
  yield* auditedChange("cluster-node-add", `${node.nodeId}@${node.address}`)
  return done
})

const removeNode = Effect.gen(function* () {
  const part = yield* pathPart("nodeId")
  if (!/^\d{1,10}$/.test(part)) return yield* Effect.fail(badRequest(`${part} is no number of a node`))
  const cluster = yield* ClusterControl
  yield* Effect.mapError(cluster.removeNode(Number(part)), ofMetadata)
  yield* auditedChange("cluster-node-remove", part)
  return done
})

const transfer = Effect.gen(function* () {
  const { nodeId } = yield* body(TransferBody)
  const cluster = yield* ClusterControl
  yield* Effect.mapError(cluster.transferLeadership(nodeId), ofMetadata)
  yield* auditedChange("cluster-leader", nodeId)
  return done
})

const takeSnapshot = Effect.gen(function* () {
  const cluster = yield* ClusterControl
  return ok(yield* Effect.mapError(cluster.takeSnapshot, ofMetadata))
})

/** The first piece is asked for before the answer begins, so that a refusal is told as one. */
const exportSnapshot = Effect.gen(function* () {
  const cluster = yield* ClusterControl
  yield* auditedChange("cluster-export", "metadata")
  const pieces = yield* Stream.runCollect(cluster.exportSnapshot).pipe(Effect.mapError(ofMetadata))
  return HttpServerResponse.uint8Array(Buffer.concat([...pieces]), { contentType: "application/octet-stream" })
})

export const router = HttpRouter.empty.pipe(
  HttpRouter.get("/cluster", status),
  HttpRouter.post("/cluster/nodes", addNode),
  HttpRouter.del("/cluster/nodes/:nodeId", removeNode),
  HttpRouter.post("/cluster/leader", transfer),
  HttpRouter.post("/cluster/snapshot", takeSnapshot),
  HttpRouter.get("/cluster/export", exportSnapshot)
)

/**
 * Commands on the nodes of the cluster.
 */
import { LimitReached, NodeIdTaken, UnknownNode } from "@effectmq/schemas/errors/MetadataError"
import type { CommandOf } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { Node } from "@effectmq/schemas/metadata/Node"
import { stableJson } from "@effectmq/schemas/metadata/StableJson"
import { limits } from "./limits.js"
import { type DecideOne, done, fieldsOf, put, refuse } from "./Outcome.js"
import { checkInt, checkText, invalid } from "./validate.js"

const checkRpcAddress = (address: string) =>
  checkText("rpcAddress", address, 1) ??
  (/^[^\s]+:\d{1,5}$/.test(address) ? undefined : invalid("rpcAddress", address, "host:port"))

const checkNode = (command: CommandOf<"RegisterNode">) => {
  const wrong =
    checkInt("nodeId", command.nodeId, 1, 2147483647) ??
    checkText("name", command.name, 1) ??
    checkText("version", command.version, 1) ??
    (command.storeId === undefined ? undefined : checkText("storeId", command.storeId, 1)) ??
    (command.rpcAddress === undefined ? undefined : checkRpcAddress(command.rpcAddress))
  if (wrong !== undefined) return wrong
  if (command.addresses.length > limits.addressesPerNodeMax) {
    return invalid("addresses", command.addresses.length, `at most ${limits.addressesPerNodeMax}`)
  }
  for (const address of command.addresses) {
    const wrongAddress =
      checkText("addresses.listener", address.listener, 1) ??
      checkText("addresses.host", address.host, 1) ??
      checkInt("addresses.port", address.port, 0, 65535)
    if (wrongAddress !== undefined) return wrongAddress
  }
  return undefined
}

/**
 * Registering what is known already changes nothing, so that a restart leaves no event. A node that comes with another store than
 * it is known with has lost what it promised to the others, or is a second one with the same number.
 */
export const registerNode: DecideOne<"RegisterNode"> = (image, command) => {
  const wrong = checkNode(command)
  if (wrong !== undefined) return refuse(wrong)
  const { nodeId } = command
  const known = image.nodesById.get(String(nodeId))
  if (known === undefined && image.nodesById.size >= limits.nodesMax) {
    return refuse(new LimitReached({ what: "nodes", max: limits.nodesMax }))
  }
  if (known?.storeId !== undefined && known.storeId !== command.storeId) {
    return refuse(new NodeIdTaken({ nodeId, storeId: known.storeId }))
  }
  const node: Node = { ...fieldsOf(command), registeredAtMs: command.atMs }
  if (known === undefined) return put(true, { _tag: "NodeRegistered", ...node })
  const { fencedAtMs, ...registered } = known
  const same = stableJson({ ...node, registeredAtMs: known.registeredAtMs }) === stableJson(registered)
  if (!same) return put(false, { _tag: "NodeRegistered", ...node })
  return fencedAtMs === undefined ? put(false) : put(false, { _tag: "NodeUnfenced", nodeId })
}

export const fenceNode: DecideOne<"FenceNode"> = (image, { nodeId, atMs }) => {
  const known = image.nodesById.get(String(nodeId))
  if (known === undefined) return refuse(new UnknownNode({ nodeId }))
  return known.fencedAtMs === undefined ? done({ _tag: "NodeFenced", nodeId, fencedAtMs: atMs }) : done()
}

export const unfenceNode: DecideOne<"UnfenceNode"> = (image, { nodeId }) => {
  const known = image.nodesById.get(String(nodeId))
  if (known === undefined) return refuse(new UnknownNode({ nodeId }))
  const events: ReadonlyArray<MetadataEvent> = known.fencedAtMs === undefined ? [] : [{ _tag: "NodeUnfenced", nodeId }]
  return done(...events)
}

export const unregisterNode: DecideOne<"UnregisterNode"> = (image, { nodeId }) =>
  image.nodesById.has(String(nodeId)) ? done({ _tag: "NodeUnregistered", nodeId }) : refuse(new UnknownNode({ nodeId }))

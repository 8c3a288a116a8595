/**
 * Commands on the cluster itself, its nodes and its dynamic configuration.
 */
import { ClusterExists, LimitReached, UnknownConfig } from "@effectmq/schemas/errors/MetadataError"
import type { CommandOf } from "@effectmq/schemas/metadata/MetadataCommand"
import { stableJson } from "@effectmq/schemas/metadata/StableJson"
import type { Image } from "./Image.js"
import { limits } from "./limits.js"
import { type DecideOne, done, fieldsOf, put, refuse } from "./Outcome.js"
import { checkInt, checkText, invalid } from "./validate.js"

export const createCluster: DecideOne<"CreateCluster"> = (image, command) => {
  const wrong = /^[A-Za-z0-9_-]{1,64}$/.test(command.clusterId)
    ? undefined
    : invalid("clusterId", command.clusterId, "1 to 64 letters, digits, underscores or hyphens")
  if (wrong !== undefined) return refuse(wrong)
  if (image.cluster !== undefined) return refuse(new ClusterExists({ clusterId: image.cluster.clusterId }))
  return done({ _tag: "ClusterCreated", clusterId: command.clusterId, createdAtMs: command.atMs })
}

const checkNode = (command: CommandOf<"RegisterNode">) => {
  const wrong =
    checkInt("nodeId", command.nodeId, 1, 2147483647) ??
    checkText("name", command.name, 1) ??
    checkText("version", command.version, 1)
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

/** Registering what is known already changes nothing, so that a restart leaves no event. */
export const registerNode: DecideOne<"RegisterNode"> = (image, command) => {
  const wrong = checkNode(command)
  if (wrong !== undefined) return refuse(wrong)
  const known = image.nodesById.get(String(command.nodeId))
  if (known === undefined && image.nodesById.size >= limits.nodesMax) {
    return refuse(new LimitReached({ what: "nodes", max: limits.nodesMax }))
  }
  const node = { ...fieldsOf(command), registeredAtMs: command.atMs }
  if (known !== undefined && stableJson({ ...node, registeredAtMs: known.registeredAtMs }) === stableJson(known))
    return put(false)
  return put(known === undefined, { _tag: "NodeRegistered", ...node })
}

const checkKey = (key: string) =>
  /^[A-Za-z0-9._-]{1,256}$/.test(key) ? undefined : invalid("key", key, "1 to 256 letters, digits, dots, underscores or hyphens")

export const setConfig: DecideOne<"SetConfig"> = (image, command) => {
  const { key, value } = command
  const tooLong = typeof value === "string" && value.length > limits.configValueLengthMax
  const wrong =
    checkKey(key) ?? (tooLong ? invalid("value", value, `at most ${limits.configValueLengthMax} characters`) : undefined)
  if (wrong !== undefined) return refuse(wrong)
  if (typeof value === "number" && !Number.isFinite(value)) return refuse(invalid("value", value, "a finite number"))
  const created = !image.configByKey.has(key)
  if (created && image.configByKey.size >= limits.configKeysMax) {
    return refuse(new LimitReached({ what: "configuration keys", max: limits.configKeysMax }))
  }
  return image.configByKey.get(key) === value ? put(false) : put(created, { _tag: "ConfigSet", key, value })
}

export const unsetConfig: DecideOne<"UnsetConfig"> = (image: Image, { key }) =>
  image.configByKey.has(key) ? done({ _tag: "ConfigUnset", key }) : refuse(new UnknownConfig({ key }))

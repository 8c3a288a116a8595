/**
 * Commands on the cluster itself and its dynamic configuration.
 */
import { ClusterExists, LimitReached, UnknownConfig } from "@effectmq/schemas/errors/MetadataError"
import type { Image } from "./Image.js"
import { limits } from "./limits.js"
import { type DecideOne, done, put, refuse } from "./Outcome.js"
import { invalid } from "./validate.js"

export const createCluster: DecideOne<"CreateCluster"> = (image, command) => {
  const wrong = /^[A-Za-z0-9_-]{1,64}$/.test(command.clusterId)
    ? undefined
    : invalid("clusterId", command.clusterId, "1 to 64 letters, digits, underscores or hyphens")
  if (wrong !== undefined) return refuse(wrong)
  if (image.cluster !== undefined) return refuse(new ClusterExists({ clusterId: image.cluster.clusterId }))
  return done({ _tag: "ClusterCreated", clusterId: command.clusterId, createdAtMs: command.atMs })
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

/**
 * Watches what nodes show of the metadata: images are the same at the same version, hashes of the chain at the same index, and no node
 * ever goes back while it runs.
 */
import type { Image } from "@effectmq/metadata/core/Image"
import type { NodeReport } from "@effectmq/schemas/admin/Cluster"
import { type Json, stableJson } from "@effectmq/schemas/metadata/StableJson"
import type { Violations } from "../cluster/Violations.js"

const textsByValue = new WeakMap<object, string>()

/** Values in images never change. */
const textOf = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined"
  const known = textsByValue.get(value)
  if (known !== undefined) return known
  const text = stableJson(value as Json)
  textsByValue.set(value, text)
  return text
}

/** Equal images have equal texts. Of commands that are remembered it says only how many there are. */
const imageText = (image: Image): string => {
  const { nodesById, tenantsById, topicsByName, usersByName, aclRulesByTenant, configByKey, recentCommands } = image
  const parts = [textOf(image.cluster ?? {}), `${recentCommands.older.size} ${recentCommands.newer.size}`]
  for (const table of [nodesById, tenantsById, topicsByName, usersByName, aclRulesByTenant, configByKey]) {
    const lines = [...table].map(([key, value]) => `${key} ${textOf(value)}`).sort()
    parts.push(lines.join("\n"))
  }
  return parts.join("\n\n")
}

const differenceOf = (a: string, b: string): string => {
  const [left, right] = [a.split("\n"), b.split("\n")]
  const at = left.findIndex((line, index) => line !== right[index])
  return `${left[at] ?? "nothing"}, and elsewhere ${right[at] ?? "nothing"}`
}

export class ViewWatch {
  private readonly imagesByVersion = new Map<number, string>()
  private readonly chainsByIndex = new Map<number, string>()
  private readonly hashesByVersion = new Map<number, string>()

  constructor(private readonly violations: Violations) {}

  /** A node shows this after `before`. */
  shows(nodeId: number, before: Image | undefined, image: Image): void {
    if (before !== undefined && image.version < before.version) {
      this.violations.add(`node ${nodeId} goes back from version ${before.version} to ${image.version}`)
    }
    const text = imageText(image)
    const known = this.imagesByVersion.get(image.version)
    if (known === undefined) this.imagesByVersion.set(image.version, text)
    else if (known !== text) {
      this.violations.add(`the image of node ${nodeId} at version ${image.version} has ${differenceOf(text, known)}`)
    }
  }

  reports({ nodeId, appliedIndex, chainHash, imageVersion, imageHash }: NodeReport): void {
    if (chainHash === "") return
    this.compare(this.chainsByIndex, appliedIndex, chainHash, `node ${nodeId}: the chain at ${appliedIndex}`)
    this.compare(this.hashesByVersion, imageVersion, imageHash, `node ${nodeId}: the hash of the image at ${imageVersion}`)
  }

  private compare(known: Map<number, string>, at: number, hash: string, what: string): void {
    const other = known.get(at)
    if (other === undefined) known.set(at, hash)
    else if (other !== hash) this.violations.add(`${what} is ${hash}, and ${other} elsewhere`)
  }
}

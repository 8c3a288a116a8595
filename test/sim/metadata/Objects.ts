/**
 * The objects that clients change and read: topics, users, rules and settings, each by the commands that the metadata have for it, and
 * where its text is in an image.
 */
import { aclRulesOf, type Image, topicOf, userOf } from "@effectmq/metadata/core/Image"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { ObjectInput } from "./ObjectModel.js"

const tenant = "default"

type Change = Exclude<ObjectInput, { readonly _tag: "Read" }>
type Stamp = { readonly commandId: string; readonly atMs: number }
export type Kind = "topic" | "user" | "rule" | "setting"

export const kinds: ReadonlyArray<Kind> = ["topic", "user", "rule", "setting"]

/** What can be wished of an object of the kind. */
export const wishes: { readonly [K in Kind]: ReadonlyArray<Change["_tag"]> } = {
  topic: ["Make", "Make", "Change", "Change", "Remove"],
  user: ["Put", "Put", "Put", "Remove"],
  rule: ["Put", "Put", "Put", "Remove"],
  setting: ["Put", "Put", "Put", "Remove"]
}

const kindOf = (name: string): Kind => name.slice(0, name.indexOf("-")) as Kind

/** `name` begins with the kind and a hyphen. */
export const commandOf = (change: Change, stamp: Stamp): MetadataCommand => {
  const { name } = change
  const text = "value" in change ? change.value : ""
  switch (kindOf(name)) {
    case "topic":
      if (change._tag === "Make") return { _tag: "CreateTopic", ...stamp, tenant, name, mqttFilter: text }
      if (change._tag === "Change") return { _tag: "ConfigureTopic", ...stamp, tenant, name, mqttFilter: text }
      return { _tag: "DeleteTopic", ...stamp, tenant, name }
    case "user":
      if (change._tag === "Remove") return { _tag: "DeleteUser", ...stamp, tenant, name }
      return { _tag: "PutUser", ...stamp, tenant, name, superuser: false, passwordHash: `$scrypt$${text}` }
    case "rule":
      if (change._tag === "Remove") return { _tag: "DeleteAcl", ...stamp, tenant, id: name }
      return { _tag: "PutAcl", ...stamp, tenant, id: name, position: 1, effect: "allow", who: {}, action: "all", filter: text }
    case "setting":
      if (change._tag === "Remove") return { _tag: "UnsetConfig", ...stamp, key: name }
      return { _tag: "SetConfig", ...stamp, key: name, value: text }
  }
}

export const textIn = (image: Image, name: string): string | undefined => {
  switch (kindOf(name)) {
    case "topic":
      return topicOf(image, tenant, name)?.mqttFilter
    case "user":
      return userOf(image, tenant, name)?.passwordHash?.slice("$scrypt$".length)
    case "rule":
      return aclRulesOf(image, tenant).find((rule) => rule.id === name)?.filter
    case "setting":
      return image.configByKey.get(name) as string | undefined
  }
}

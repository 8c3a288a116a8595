/**
 * Metadata whose image a test sets: the port without a log beneath it.
 */
import type { AclRule } from "@effectmq/schemas/metadata/AclRule"
import type { Ban } from "@effectmq/schemas/metadata/Ban"
import type { AclEffect } from "@effectmq/schemas/metadata/Tenant"
import type { User } from "@effectmq/schemas/metadata/User"
import { type Delta, deltaOf } from "@effectmq/metadata/core/Delta"
import { banKey, emptyImage, type Image, nameKey } from "@effectmq/metadata/core/Image"
import { Metadata } from "@effectmq/metadata/Metadata"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

export class TestMetadata {
  private current: Image = emptyImage
  private readonly listeners = new Set<(delta: Delta) => void>()

  readonly layer = Layer.succeed(Metadata, {
    image: () => this.current,
    sync: Effect.sync(() => this.current),
    isStale: () => false,
    fault: () => undefined,
    changes: Stream.empty,
    onChange: (listener) => {
      this.listeners.add(listener)
      return () => this.listeners.delete(listener)
    }
  })

  change(edit: (image: Image) => Partial<Image>): void {
    const before = this.current
    this.current = { ...before, ...edit(before), version: before.version + 1 }
    for (const listener of this.listeners) listener(deltaOf(before, this.current))
  }

  putUser(name: string, fields: Partial<User> = {}): void {
    const user: User = { tenant: "default", name, superuser: false, updatedAtMs: 0, ...fields }
    this.change((image) => ({ usersByName: image.usersByName.set(nameKey(user.tenant, name), user) }))
  }

  deleteUser(name: string): void {
    this.change((image) => ({ usersByName: image.usersByName.delete(nameKey("default", name)) }))
  }

  setRules(rules: ReadonlyArray<AclRule>): void {
    this.change((image) => ({ aclRulesByTenant: image.aclRulesByTenant.set("default", rules) }))
  }

  setDefault(effect: AclEffect | undefined): void {
    const tenant = { tenant: "default", quota: {}, createdAtMs: 0, aclDefault: effect }
    this.change((image) => ({ tenantsById: image.tenantsById.set("default", tenant) }))
  }

  putBan(fields: Pick<Ban, "kind" | "value"> & Partial<Ban>): void {
    const ban: Ban = { tenant: "default", reason: "because", by: "test", createdAtMs: 0, ...fields }
    this.change((image) => ({ bansByKey: image.bansByKey.set(banKey(ban), ban) }))
  }

  deleteBan(kind: Ban["kind"], value: string): void {
    this.change((image) => ({ bansByKey: image.bansByKey.delete(banKey({ tenant: "default", kind, value })) }))
  }
}

let lastId = 0

/** A rule for everybody, with the given parts. */
export const rule = (
  effect: AclEffect,
  action: AclRule["action"],
  filter: string,
  rest: Partial<Pick<AclRule, "who" | "retain">> = {}
): AclRule => {
  lastId += 1
  return { tenant: "default", id: `r${lastId}`, position: lastId, effect, who: {}, action, filter, ...rest }
}

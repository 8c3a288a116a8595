/**
 * Names and numbers that identify things across packages and processes.
 *
 * Every name lives in a tenant; the tenant of a deployment that never thinks of tenants is `default`.
 */
import * as Schema from "effect/Schema"

const name = (what: string, lengthMax: number, pattern: RegExp) =>
  Schema.String.pipe(
    Schema.minLength(1),
    Schema.maxLength(lengthMax),
    Schema.pattern(pattern, { message: () => `${what}: 1 to ${lengthMax} characters that match ${pattern.source}` })
  )

/** The namespace of every other name. AMQP's vhost is a tenant. */
export const TenantId = name("tenant", 128, /^[A-Za-z0-9._-]+$/).pipe(Schema.brand("TenantId"))
export type TenantId = typeof TenantId.Type

/** The tenant of a deployment that never thinks of tenants. */
export const defaultTenant = TenantId.make("default")

/** Name of a stored topic: the characters Kafka allows, because a Kafka client sees it. */
export const TopicName = name("topic", 249, /^[A-Za-z0-9._-]+$/).pipe(Schema.brand("TopicName"))
export type TopicName = typeof TopicName.Type

/** Number of a node in its cluster, from 1. */
export const NodeId = Schema.Int.pipe(Schema.between(1, 2147483647), Schema.brand("NodeId"))
export type NodeId = typeof NodeId.Type

/** Name of a user who is in the list of users: no colon, because a client may say `<tenant>:<user>`. */
export const UserName = name("user", 256, /^[^\u0000-\u001f\u007f:]+$/).pipe(Schema.brand("UserName"))
export type UserName = typeof UserName.Type

/** Who a client may turn out to be, in rules and bans: also what a certificate or an authenticator of one's own says. */
export const PrincipalName = name("user", 256, /^[^\u0000-\u001f\u007f]+$/).pipe(Schema.brand("PrincipalName"))
export type PrincipalName = typeof PrincipalName.Type

/** Which storage engine keeps a topic's shards. */
export const EngineName = Schema.Literal("memory", "file")
export type EngineName = typeof EngineName.Type

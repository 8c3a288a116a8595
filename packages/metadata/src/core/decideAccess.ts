/**
 * Commands on who is let in and what they may do: users, rules, bans.
 */
import { LimitReached, UnknownAcl, UnknownBan, UnknownTenant, UnknownUser } from "@effectmq/schemas/errors/MetadataError"
import type { CommandOf } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { ScramVerifier } from "@effectmq/schemas/metadata/User"
import { aclRulesOf, banKey, type Image, userOf } from "./Image.js"
import { limits } from "./limits.js"
import { type DecideOne, defined, done, fieldsOf, put, refuse } from "./Outcome.js"
import { checkAddress, checkFilter, checkInt, checkPrincipalName, checkText, checkUserName, invalid } from "./validate.js"

const checkPasswordHash = (hash: string | undefined) =>
  hash === undefined || (hash.length <= limits.textLengthMax && /^\$[a-z0-9-]{1,32}(\$[A-Za-z0-9+/=.,_-]*){1,5}$/.test(hash))
    ? undefined
    : invalid("passwordHash", "(not shown)", "a hash in PHC string format")

const isBase64 = (text: string, bytesMin: number, bytesMax: number): boolean =>
  text.length % 4 === 0 &&
  /^[A-Za-z0-9+/]+={0,2}$/.test(text) &&
  Buffer.byteLength(text, "base64") >= bytesMin &&
  Buffer.byteLength(text, "base64") <= bytesMax

/** RFC 7677 section 4 wants 4096 iterations or more; SHA-256 gives keys of 32 bytes. */
const checkScram = (scram: ScramVerifier | undefined) => {
  if (scram === undefined) return undefined
  if (!isBase64(scram.salt, 1, 256)) return invalid("scram.salt", "(not shown)", "1 to 256 bytes in base64")
  if (!isBase64(scram.storedKey, 32, 32)) return invalid("scram.storedKey", "(not shown)", "32 bytes in base64")
  if (!isBase64(scram.serverKey, 32, 32)) return invalid("scram.serverKey", "(not shown)", "32 bytes in base64")
  return checkInt("scram.iterations", scram.iterations, 4096, 100_000_000)
}

export const putUser: DecideOne<"PutUser"> = (image, command) => {
  const { tenant, name } = command
  const created = userOf(image, tenant, name) === undefined
  // One from before there was such a rule stays, and may be changed.
  const wrong =
    (created ? checkUserName("name", name) : undefined) ?? checkPasswordHash(command.passwordHash) ?? checkScram(command.scram)
  if (wrong !== undefined) return refuse(wrong)
  if (!image.tenantsById.has(tenant)) return refuse(new UnknownTenant({ tenant }))
  if (created && image.usersByName.size >= limits.usersMax)
    return refuse(new LimitReached({ what: "users", max: limits.usersMax }))
  return put(created, { _tag: "UserPut", ...fieldsOf(command), updatedAtMs: command.atMs })
}

export const deleteUser: DecideOne<"DeleteUser"> = (image, { tenant, name }) =>
  userOf(image, tenant, name) === undefined
    ? refuse(new UnknownUser({ tenant, name }))
    : done({ _tag: "UserDeleted", tenant, name })

const checkAcl = ({ id, position, who, filter }: CommandOf<"PutAcl">) =>
  checkText("id", id, 1, 256) ??
  checkInt("position", position, -2147483648, 2147483647) ??
  (who.user === undefined ? undefined : checkPrincipalName("who.user", who.user)) ??
  (who.clientId === undefined ? undefined : checkText("who.clientId", who.clientId, 1, limits.filterBytesMax)) ??
  checkAddress("who.address", who.address) ??
  checkFilter("filter", filter)

export const putAcl: DecideOne<"PutAcl"> = (image, command) => {
  const { tenant, id } = command
  const wrong = checkAcl(command)
  if (wrong !== undefined) return refuse(wrong)
  if (command.retain !== undefined && command.action === "subscribe") {
    return refuse(invalid("retain", command.retain, "a subscription has no retain flag"))
  }
  if (!image.tenantsById.has(tenant)) return refuse(new UnknownTenant({ tenant }))
  const rules = aclRulesOf(image, tenant)
  const created = !rules.some((rule) => rule.id === id)
  if (created && rules.length >= limits.aclRulesPerTenantMax) {
    return refuse(new LimitReached({ what: "rules in a tenant", max: limits.aclRulesPerTenantMax }))
  }
  return put(created, { _tag: "AclPut", ...fieldsOf(command), who: defined(command.who) })
}

export const deleteAcl: DecideOne<"DeleteAcl"> = (image, { tenant, id }) =>
  aclRulesOf(image, tenant).some((rule) => rule.id === id)
    ? done({ _tag: "AclDeleted", tenant, id })
    : refuse(new UnknownAcl({ tenant, id }))

export const setAclDefault: DecideOne<"SetAclDefault"> = (image, { tenant, effect }) => {
  const known = image.tenantsById.get(tenant)
  if (known === undefined) return refuse(new UnknownTenant({ tenant }))
  return known.aclDefault === effect ? done() : done(defined({ _tag: "AclDefaultSet", tenant, effect }))
}

/** Looking through all bans with each new one would take the longer the more there are: few at once, or there is no room, or now and then. */
const looksForExpiredBans = ({ bansByKey: { size } }: Image, created: boolean): boolean =>
  size < limits.bansPerLook || (created && (size % limits.bansPerLook === 0 || size >= limits.bansMax))

/** Where nobody knows for sure how late it is, none is: a ban that is over does no harm, and one that is dropped early does. */
const expiredBans = (image: Image, passedMs: number | undefined, keptKey: string): ReadonlyArray<MetadataEvent> => {
  const expired: Array<MetadataEvent> = []
  if (passedMs === undefined) return expired
  for (const [key, { tenant, kind, value, untilMs }] of image.bansByKey) {
    if (expired.length >= limits.expiredBansPerCommandMax) break
    if (untilMs !== undefined && untilMs <= passedMs && key !== keptKey) expired.push({ _tag: "BanDeleted", tenant, kind, value })
  }
  return expired
}

const checkBan = ({ kind, value, reason, by, untilMs }: CommandOf<"PutBan">) =>
  (kind === "address" ? checkAddress("value", value) : checkText("value", value, 1, limits.filterBytesMax)) ??
  checkText("reason", reason, 0) ??
  checkText("by", by, 0) ??
  checkInt("untilMs", untilMs, 0)

export const putBan: DecideOne<"PutBan"> = (image, command, passedMs) => {
  const wrong = checkBan(command)
  if (wrong !== undefined) return refuse(wrong)
  const { tenant } = command
  if (!image.tenantsById.has(tenant)) return refuse(new UnknownTenant({ tenant }))
  const key = banKey(command)
  const created = !image.bansByKey.has(key)
  const expired = looksForExpiredBans(image, created) ? expiredBans(image, passedMs, key) : []
  if (created && image.bansByKey.size - expired.length >= limits.bansMax) {
    return refuse(new LimitReached({ what: "bans", max: limits.bansMax }))
  }
  return put(created, ...expired, { _tag: "BanPut", ...fieldsOf(command), createdAtMs: command.atMs })
}

export const deleteBan: DecideOne<"DeleteBan"> = (image, { tenant, kind, value }) =>
  image.bansByKey.has(banKey({ tenant, kind, value }))
    ? done({ _tag: "BanDeleted", tenant, kind, value })
    : refuse(new UnknownBan({ tenant, kind, value }))

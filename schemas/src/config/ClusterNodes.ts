/**
 * The texts of `cluster.nodes`: `id@host:port`, and the `host:port` in them.
 */
import type { Member } from "../raft/Membership.js"

const form = /^([1-9]\d{0,9})@([^@\s]+):(\d{1,5})$/
const addressForm = /^(?:\[[^\]\s]+\]|[^:@\s[\]]+):(\d{1,5})$/

/** Whether a node can be called there. */
export const isNodeAddress = (text: string): boolean => {
  const port = Number(addressForm.exec(text)?.[1] ?? 0)
  return port >= 1 && port <= 65535
}

/** undefined where the text is none. */
export const memberOfText = (text: string): Member | undefined => {
  const [, id, host, port] = form.exec(text) ?? []
  if (id === undefined || host === undefined || port === undefined) return undefined
  const nodeId = Number(id)
  return nodeId <= 2147483647 && Number(port) >= 1 && Number(port) <= 65535 ? { nodeId, address: `${host}:${port}` } : undefined
}

/** Of settings that were checked. */
export const membersOf = (texts: ReadonlyArray<string>): ReadonlyArray<Member> =>
  texts.flatMap((text) => memberOfText(text) ?? []).sort((left, right) => left.nodeId - right.nodeId)

/**
 * What a node says it belongs to when it meets another: its cluster's id once there is one, and before that a mark of the first
 * members that it was started with, so that nodes that were started with different lists do not make two majorities.
 *
 *     text = cluster's id | " " | mark of the first members, each empty where it is not known
 */

export interface Belonging {
  /** Of at most 64 letters, digits and dashes. */
  readonly clusterId: string | undefined
  /** The same. */
  readonly firstMembers: string | undefined
}

export const belongingBytesMax = 150
export const unknownBelonging: Belonging = { clusterId: undefined, firstMembers: undefined }

const form = /^([\w-]{0,64}) ([\w-]{0,64})$/

/** A part that does not have the form is left out. */
const part = (text: string | undefined): string => (text !== undefined && /^[\w-]{1,64}$/.test(text) ? text : "")

export const textOfBelonging = ({ clusterId, firstMembers }: Belonging): string => `${part(clusterId)} ${part(firstMembers)}`

export const belongingOfText = (text: string): Belonging | undefined => {
  const [whole, clusterId, firstMembers] = form.exec(text) ?? []
  if (whole === undefined) return undefined
  return { clusterId: clusterId || undefined, firstMembers: firstMembers || undefined }
}

/** Why two nodes have nothing to say to each other; undefined where they may have. `theirs`: of the one that calls. */
export const strangers = (theirs: Belonging, ours: Belonging): string | undefined => {
  if (theirs.clusterId !== undefined && ours.clusterId !== undefined) {
    return theirs.clusterId === ours.clusterId
      ? undefined
      : `it is of cluster ${theirs.clusterId}, this node is of cluster ${ours.clusterId}`
  }
  // Where one of them has a cluster already, that one's members are what counts, and may be others than at first.
  if (theirs.clusterId !== undefined || ours.clusterId !== undefined) return undefined
  if (theirs.firstMembers === undefined || ours.firstMembers === undefined || theirs.firstMembers === ours.firstMembers) {
    return undefined
  }
  return "it was started with other cluster.nodes than this node: a new cluster begins with the same list on all of them"
}

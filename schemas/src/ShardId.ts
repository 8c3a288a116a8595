/**
 * The name of a shard: `<tenant>/<topic>/<partition>`. Internal topics begin with `__`, as in Kafka.
 */
export interface ShardId {
  readonly tenant: string
  readonly topic: string
  /** 0 to 65535. */
  readonly partition: number
}

export const shardIdToString = (id: ShardId): string => `${id.tenant}/${id.topic}/${id.partition}`

/** The reverse of `shardIdToString`; undefined where the text is no shard's name. */
export const shardIdFromString = (text: string): ShardId | undefined => {
  const parts = /^([A-Za-z0-9._-]{1,128})\/([A-Za-z0-9._-]{1,249})\/(\d{1,5})$/.exec(text)
  return parts === null ? undefined : { tenant: parts[1] as string, topic: parts[2] as string, partition: Number(parts[3]) }
}

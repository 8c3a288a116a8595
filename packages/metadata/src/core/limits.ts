/**
 * How much metadata a cluster can hold: the image is in every node's memory, and its snapshot is written whole.
 */
export const limits = {
  nodesMax: 1_000,
  tenantsMax: 10_000,
  topicsMax: 100_000,
  partitionsPerTopicMax: 1_024,
  usersMax: 100_000,
  aclRulesPerTenantMax: 10_000,
  bansMax: 100_000,
  configKeysMax: 10_000,
  addressesPerNodeMax: 64,
  commandIdLengthMax: 128,
  /** Of ids, reasons and other short text. */
  textLengthMax: 1_024,
  /** Of a topic filter, in UTF-8 bytes [MQTT-4.7.3-3]. */
  filterBytesMax: 65_535,
  configValueLengthMax: 65_536,
  /** Cleared away by one command. */
  expiredBansPerCommandMax: 1_000,
  /** With more than these, expired bans are looked for with one of so many new ones. */
  bansPerLook: 64
} as const

/**
 * Topic aliases of one connection [MQTT5 3.3.2.3.4]: those the client has set, and those the broker sets towards it.
 * Both end with the connection [MQTT-3.3.2-7].
 */

/** Aliases from the client. */
export class InboundAliases {
  private readonly topicsByAlias = new Map<number, string>()

  constructor(private readonly maximum: number) {}

  /**
   * What a PUBLISH with an alias is about: sets the alias where `topic` is not empty [MQTT-3.3.2-12]. undefined where the alias
   * is over the maximum [MQTT-3.3.2-9] or stands for nothing yet.
   */
  resolve(alias: number, topic: string): string | undefined {
    if (alias > this.maximum) return undefined
    if (topic === "") return this.topicsByAlias.get(alias)
    this.topicsByAlias.set(alias, topic)
    return topic
  }
}

/** Aliases towards the client: the first topics sent get them, until there are none left [MQTT-3.1.2-26]. */
export class OutboundAliases {
  private readonly aliasesByTopic = new Map<string, number>()
  /** True where the last `aliasOf` answered with an alias the client knows already. */
  known = false

  constructor(private readonly maximum: number) {}

  /** 0 where the topic gets none. */
  aliasOf(topic: string): number {
    const alias = this.aliasesByTopic.get(topic)
    if (alias !== undefined) {
      this.known = true
      return alias
    }
    this.known = false
    if (this.aliasesByTopic.size >= this.maximum) return 0
    const next = this.aliasesByTopic.size + 1
    this.aliasesByTopic.set(topic, next)
    return next
  }

  /** The PUBLISH that was to set the alias was not sent. */
  forget(topic: string): void {
    // Only the newest can be taken back, and only the newest ever is.
    if (this.aliasesByTopic.get(topic) === this.aliasesByTopic.size) this.aliasesByTopic.delete(topic)
  }
}

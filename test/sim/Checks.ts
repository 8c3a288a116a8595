/**
 * What must hold at the end of a run, when faults have stopped and everything has drained. Each check reads the ledger alone and
 * answers with what is wrong, in words.
 */
import type { Arrival, Epoch, Ledger, Sent, SubscriptionRecord } from "./Ledger.js"

/** By the text of the specification, level by level; filters here have no `$` topics to mind [MQTT-4.7.1-1 to -3]. */
export const matches = (filter: string, topic: string): boolean => {
  const levels = filter.split("/")
  const names = topic.split("/")
  for (let index = 0; index < levels.length; index++) {
    if (levels[index] === "#") return true
    if (index >= names.length || (levels[index] !== "+" && levels[index] !== names[index])) return false
  }
  return levels.length === names.length
}

const owed = (sent: Sent): sent is Sent & { sentAt: number; ackedAt: number } =>
  sent.qos > 0 && sent.payload !== "" && sent.ackedAt !== undefined && sent.sentAt !== undefined

/** The subscription that obliges the broker to deliver the message in this epoch. */
const obliging = (epoch: Epoch, sent: Sent, group: string | undefined): SubscriptionRecord | undefined =>
  epoch.subscriptions.find(
    (one) =>
      one.group === group &&
      one.qos > 0 &&
      one.subackAt !== undefined &&
      one.closedAt === undefined &&
      one.subackAt < (sent.sentAt as number) &&
      matches(one.filter, sent.topic)
  )

const arrivalsByLabel = (arrivals: ReadonlyArray<Arrival>): Map<string, Array<Arrival>> => {
  const byLabel = new Map<string, Array<Arrival>>()
  for (const arrival of arrivals) {
    const same = byLabel.get(arrival.label)
    if (same === undefined) byLabel.set(arrival.label, [arrival])
    else same.push(arrival)
  }
  return byLabel
}

const lives = (epoch: Epoch): boolean => epoch.durable && epoch.endedAt === undefined && !epoch.mayHaveEnded

/** What was acknowledged reaches every persistent session that was subscribed. */
export const nothingLost = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  for (const epoch of ledger.epochs.filter(lives)) {
    const got = arrivalsByLabel(epoch.arrivals)
    for (const sent of ledger.sentByLabel.values()) {
      if (!owed(sent) || got.has(sent.label)) continue
      const subscription = obliging(epoch, sent, undefined)
      if (subscription !== undefined) {
        wrong.push(
          `${sent.label} (${sent.kind}, ${sent.topic}) never reached ${epoch.clientId}, subscribed to ${subscription.filter}`
        )
      }
    }
  }
  return wrong
}

/** What was acknowledged reaches some member of every shared group that had one all the time. */
export const groupsServed = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  const groups = new Set(ledger.epochs.flatMap((epoch) => epoch.subscriptions.flatMap((one) => one.group ?? [])))
  for (const group of groups) {
    const members = ledger.epochs.filter((epoch) => epoch.subscriptions.some((one) => one.group === group))
    const got = new Set(members.flatMap((epoch) => epoch.arrivals.map(({ label }) => label)))
    for (const sent of ledger.sentByLabel.values()) {
      if (!owed(sent) || got.has(sent.label)) continue
      if (!members.some((epoch) => lives(epoch) && obliging(epoch, sent, group) !== undefined)) continue
      // What was begun at QoS 2 with a member whose session then ended goes to nobody else [MQTT-4.8.2-5].
      const sinceEnded = members.some(
        (epoch) => epoch.mayHaveEnded || (epoch.endedAt !== undefined && epoch.endedAt > sent.sentAt)
      )
      if (sent.qos === 2 && sinceEnded) continue
      wrong.push(`${sent.label} (${sent.topic}) reached no member of ${group}`)
    }
  }
  return wrong
}

const isOfGroup = (epoch: Epoch, topic: string): boolean =>
  epoch.subscriptions.some((one) => one.group !== undefined && matches(one.filter, topic))

/** What is published and delivered at QoS 2 arrives once, and so does QoS 0. */
export const nothingTwice = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  const byClient = new Map<string, Array<Epoch>>()
  for (const epoch of ledger.epochs) byClient.set(epoch.clientId, [...(byClient.get(epoch.clientId) ?? []), epoch])
  for (const [clientId, epochs] of byClient) {
    for (const [label, arrivals] of arrivalsByLabel(epochs.flatMap((epoch) => epoch.arrivals))) {
      const sent = ledger.sentByLabel.get(label) as Sent
      if (sent.qos === 1) continue
      const live = arrivals.filter(({ qos, retain }) => qos === sent.qos && !retain)
      if (live.length > 1) wrong.push(`${label} (QoS ${sent.qos}, ${sent.topic}) reached ${clientId} ${live.length} times`)
    }
  }
  return wrong
}

/** Of a shared group, one member gets a message at QoS 2, once [MQTT-4.8.2-4], [MQTT-4.8.2-5]. */
export const groupsServedOnce = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  const groups = new Set(ledger.epochs.flatMap((epoch) => epoch.subscriptions.flatMap((one) => one.group ?? [])))
  for (const group of groups) {
    const clientIdsByLabel = new Map<string, Array<string>>()
    for (const { clientId, subscriptions, arrivals } of ledger.epochs) {
      const filters = subscriptions.filter((one) => one.group === group).map(({ filter }) => filter)
      for (const { label, topic, qos } of arrivals) {
        if (qos !== 2 || !filters.some((filter) => matches(filter, topic))) continue
        clientIdsByLabel.set(label, [...(clientIdsByLabel.get(label) ?? []), clientId])
      }
    }
    for (const [label, clientIds] of clientIdsByLabel) {
      if (clientIds.length > 1) wrong.push(`${label} reached ${group} ${clientIds.length} times: ${clientIds.join(", ")}`)
    }
  }
  return wrong
}

/** A retained message arrives at QoS 2 at most once for each time its filter was subscribed to. */
export const retainedOncePerSubscribe = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  for (const epoch of ledger.epochs) {
    for (const [label, arrivals] of arrivalsByLabel(epoch.arrivals)) {
      const sent = ledger.sentByLabel.get(label) as Sent
      const count = arrivals.filter(({ qos, retain }) => qos === 2 && retain).length
      const asked = epoch.subscriptions.filter((one) => one.group === undefined && matches(one.filter, sent.topic)).length
      if (count > asked)
        wrong.push(`retained ${label} (${sent.topic}) reached ${epoch.clientId} ${count} times for ${asked} SUBSCRIBE`)
    }
  }
  return wrong
}

/** QoS 0 of subscriptions that were there when it was sent. */
const wasLive = (epoch: Epoch, sent: Sent): boolean =>
  sent.qos === 0 && epoch.subscriptions.some((one) => one.subackAt !== undefined && one.subackAt < (sent.sentAt as number))

/** Of one publisher, topic and QoS, messages arrive for the first time in the order in which they were sent [MQTT-4.6.0-6]. */
export const inOrder = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  for (const epoch of ledger.epochs) {
    const seen = new Set<string>()
    const newest = new Map<string, Sent>()
    for (const { label, qos, retain } of epoch.arrivals) {
      const sent = ledger.sentByLabel.get(label) as Sent
      if (retain || seen.has(label) || sent.kind === "will" || sent.dueMs > 0 || isOfGroup(epoch, sent.topic)) continue
      seen.add(label)
      // What was sent before the subscription was there may come when it is sent again.
      if (obliging(epoch, sent, undefined) === undefined && !wasLive(epoch, sent)) continue
      const key = `${sent.publisher} ${sent.topic} ${sent.qos} ${qos}`
      const before = newest.get(key)
      if (before === undefined || (before.sentAt as number) < (sent.sentAt as number)) newest.set(key, sent)
      else wrong.push(`${label} reached ${epoch.clientId} after ${before.label}, which was sent later (${key})`)
    }
  }
  return wrong
}

/** Nothing arrives that nobody subscribed to, or that was sent after UNSUBACK. */
export const nothingUnasked = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  for (const epoch of ledger.epochs) {
    for (const { label, topic, at } of epoch.arrivals) {
      const sent = ledger.sentByLabel.get(label) as Sent
      const asked = epoch.subscriptions.some(
        (one) =>
          one.sentAt < at &&
          (one.unsubackAt === undefined || sent.sentAt === undefined || one.unsubackAt > sent.sentAt || sent.dueMs > 0) &&
          matches(one.filter, topic)
      )
      if (!asked) wrong.push(`${label} (${topic}) reached ${epoch.clientId}, which had not asked for it`)
    }
  }
  return wrong
}

/** Of every topic with one publisher of retained messages: the last that was acknowledged, or a later one. */
export const retainedNow = (ledger: Ledger, found: ReadonlyMap<string, string>): Array<string> => {
  const wrong: Array<string> = []
  const byTopic = new Map<string, Array<Sent>>()
  for (const sent of ledger.sentByLabel.values()) {
    if (sent.retain && sent.kind === "publish") byTopic.set(sent.topic, [...(byTopic.get(sent.topic) ?? []), sent])
  }
  const valueOf = (sent: Sent) => (sent.payload === "" ? "nothing" : sent.label)
  for (const [topic, all] of byTopic) {
    const lastAcked = all.findLastIndex(({ qos, ackedAt }) => qos > 0 && ackedAt !== undefined)
    const allowed = all.slice(Math.max(0, lastAcked)).map(valueOf)
    if (lastAcked === -1) allowed.push("nothing")
    const value = found.get(topic) ?? "nothing"
    if (!allowed.includes(value)) wrong.push(`retained at ${topic} is ${value}, not ${allowed.join(" or ")}`)
  }
  for (const topic of found.keys()) if (!byTopic.has(topic)) wrong.push(`retained at ${topic}, where nobody published`)
  return wrong
}

/** A retained message that was there before SUBSCRIBE and is not followed by another reaches the new subscription. */
export const retainedSeen = (ledger: Ledger): Array<string> => {
  const wrong: Array<string> = []
  const retained = [...ledger.sentByLabel.values()].filter(({ retain, kind }) => retain && kind === "publish")
  for (const epoch of ledger.epochs.filter(lives)) {
    for (const sent of retained) {
      if (!owed(sent) || retained.some((other) => other.topic === sent.topic && (other.sentAt as number) > sent.sentAt)) continue
      const subscription = epoch.subscriptions.find(
        (one) =>
          one.group === undefined &&
          one.qos > 0 &&
          one.subackAt !== undefined &&
          one.closedAt === undefined &&
          one.sentAt > sent.ackedAt &&
          matches(one.filter, sent.topic)
      )
      if (subscription === undefined) continue
      const seen = epoch.arrivals.some(({ label, retain, at }) => label === sent.label && retain && at > subscription.sentAt)
      if (!seen)
        wrong.push(
          `retained ${sent.label} (${sent.topic}) never reached ${epoch.clientId}, which subscribed to ${subscription.filter}`
        )
    }
  }
  return wrong
}

export const checks = {
  nothingLost,
  groupsServed,
  groupsServedOnce,
  nothingTwice,
  retainedOncePerSubscribe,
  inOrder,
  nothingUnasked,
  retainedSeen
}

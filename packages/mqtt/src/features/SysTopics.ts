/**
 * What the broker publishes under `$SYS` in the space of a tenant: figures at an interval, and what happens to clients and
 * alarms when it happens.
 *
 * | topic | payload | retained |
 * | --- | --- | --- |
 * | `$SYS/broker/version`, `uptime`, `clients/connected`, `messages/received`, ... | as Mosquitto's: `mosquittoNames` | yes |
 * | `$SYS/broker/load/<what>/1min`, `5min`, `15min` | per minute, averaged | yes |
 * | `$SYS/brokers` | name of the node | yes |
 * | `$SYS/brokers/<node>/version`, `sysdescr` | text | yes |
 * | `$SYS/brokers/<node>/uptime`, `datetime` | ms; RFC 3339 | no |
 * | `$SYS/brokers/<node>/stats/<name>/count`, `max` | as EMQX's: `emqxStats` | no |
 * | `$SYS/brokers/<node>/metrics/<name>` | as EMQX's: `emqxMetrics`; and every meter: `levelsOfMeter` | no |
 * | `$SYS/brokers/<node>/clients/<client id>/connected`, `disconnected`, `subscribed`, `unsubscribed` | JSON | no |
 * | `$SYS/brokers/<node>/alarms/activate`, `deactivate` | JSON | no |
 *
 * Everything goes out at QoS 0. What is retained is published when it changes, and kept in memory only (see
 * messaging/Retained); what is not is made only while somebody subscribes below `$SYS`.
 */
import type { Alarm } from "@effectmq/metrics/Alarms"
import { Message } from "@effectmq/messaging/Message"
import type { TenantSpace } from "@effectmq/messaging/TenantSpace"
import type { ClientEvents, ConnectFacts, DisconnectReason } from "../core/ClientEvents.js"
import type { Session } from "../core/Session.js"
import { LoadAverages, loadPeriods } from "./core/LoadAverages.js"
import {
  alarmEvent,
  connectedEvent,
  disconnectedEvent,
  levelOfClientId,
  subscribedEvent,
  unsubscribedEvent
} from "./core/SysEvents.js"
import {
  type CountName,
  emqxMetrics,
  emqxStats,
  figureText,
  type GaugeName,
  levelsOfMeter,
  mosquittoLoads,
  mosquittoNames,
  mosquittoPeaks,
  type SysFigures
} from "./core/SysFigures.js"

export interface SysTopicsOptions {
  readonly nodeName: string
  readonly version: string
  /** Since the broker started, by a clock that nobody sets. */
  readonly uptimeMs: () => number
}

const description = "EffectMQ broker"

export class SysTopics implements ClientEvents {
  private readonly node: string
  private readonly textsByTopic = new Map<string, string>()
  private readonly peaks = new Map<GaugeName | CountName, number>()
  private readonly loadsByFigure = new Map<CountName, LoadAverages>(
    mosquittoLoads.map(([, figure]) => [figure, new LoadAverages()])
  )

  constructor(
    private readonly space: TenantSpace,
    private readonly options: SysTopicsOptions,
    private readonly nowMs: () => number
  ) {
    this.node = `$SYS/brokers/${levelOfClientId(options.nodeName)}`
  }

  /** Publishes all figures. `meters` as `Meters.snapshot()` gives them; empty where the tenant may not see them. */
  publish(figures: SysFigures, meters: ReadonlyMap<string, number>): void {
    const nowMs = this.nowMs()
    const { version, nodeName } = this.options
    const uptimeMs = Math.floor(this.options.uptimeMs())
    this.lookAtPeaks(figures)
    for (const [figure, load] of this.loadsByFigure) {
      const count = figures[figure]
      if (count !== undefined) load.look(count, uptimeMs)
    }
    this.keep("$SYS/brokers", nodeName)
    this.keep(`${this.node}/version`, version)
    this.keep(`${this.node}/sysdescr`, description)
    this.keep("$SYS/broker/version", `effectmq version ${version}`)
    this.keep("$SYS/broker/uptime", `${Math.floor(uptimeMs / 1000)} seconds`)
    this.publishMosquitto(figures)
    if (!this.space.routes.watchesSys) return
    this.send(`${this.node}/uptime`, String(uptimeMs))
    this.send(`${this.node}/datetime`, new Date(nowMs).toISOString())
    this.publishEmqx(figures)
    for (const [key, value] of meters) this.sendFigure(`${this.node}/metrics/${levelsOfMeter(key)}`, value)
  }

  /** Takes back what is retained: nothing of it would be true for long. */
  clear(): void {
    for (const topic of this.textsByTopic.keys()) this.hand(topic, "", true)
    this.textsByTopic.clear()
  }

  // --- ClientEvents

  connected(session: Session, facts: ConnectFacts): void {
    if (this.watched) this.tell(session, "connected", connectedEvent(session, facts, this.nowMs()))
  }

  disconnected(session: Session, reason: DisconnectReason): void {
    if (this.watched) this.tell(session, "disconnected", disconnectedEvent(session, reason, this.nowMs()))
  }

  subscribed(session: Session, filter: string): void {
    if (this.watched) this.tell(session, "subscribed", subscribedEvent(session, filter, this.nowMs()))
  }

  unsubscribed(session: Session, filter: string): void {
    if (this.watched) this.tell(session, "unsubscribed", unsubscribedEvent(session, filter, this.nowMs()))
  }

  /** An alarm was raised or cleared: for `Alarms.onChange`. */
  alarmChanged(alarm: Alarm): void {
    if (this.watched)
      this.send(`${this.node}/alarms/${alarm.clearedAtMs === undefined ? "activate" : "deactivate"}`, alarmEvent(alarm))
  }

  private get watched(): boolean {
    return this.space.routes.watchesSys
  }

  private tell(session: Session, event: string, json: string): void {
    this.send(`${this.node}/clients/${levelOfClientId(session.clientId)}/${event}`, json)
  }

  private lookAtPeaks(figures: SysFigures): void {
    for (const [, figure] of [...mosquittoPeaks, ...emqxStats]) {
      const value = figures[figure]
      if (value !== undefined) this.peaks.set(figure, Math.max(value, this.peaks.get(figure) ?? 0))
    }
  }

  private publishMosquitto(figures: SysFigures): void {
    for (const [topic, figure] of mosquittoNames) this.keepFigure(`$SYS/broker/${topic}`, figures[figure])
    for (const [topic, figure] of mosquittoPeaks) this.keepFigure(`$SYS/broker/${topic}`, this.peaks.get(figure))
    const { clientsConnected, sessions } = figures
    if (clientsConnected !== undefined && sessions !== undefined) {
      this.keepFigure("$SYS/broker/clients/disconnected", sessions - clientsConnected)
      this.keepFigure("$SYS/broker/clients/inactive", sessions - clientsConnected)
    }
    for (const [topic, figure] of mosquittoLoads) {
      if (figures[figure] === undefined) continue
      const load = this.loadsByFigure.get(figure) as LoadAverages
      loadPeriods.forEach(([period], index) => {
        this.keep(`$SYS/broker/load/${topic}/${period}`, (load.perMinute[index] as number).toFixed(2))
      })
    }
  }

  private publishEmqx(figures: SysFigures): void {
    for (const [name, figure] of emqxStats) {
      this.sendFigure(`${this.node}/stats/${name}/count`, figures[figure])
      this.sendFigure(`${this.node}/stats/${name}/max`, this.peaks.get(figure))
    }
    for (const [name, figure] of emqxMetrics) this.sendFigure(`${this.node}/metrics/${name}`, figures[figure])
  }

  private keepFigure(topic: string, value: number | undefined): void {
    const text = value === undefined ? undefined : figureText(value)
    if (text !== undefined) this.keep(topic, text)
  }

  private sendFigure(topic: string, value: number | undefined): void {
    const text = value === undefined ? undefined : figureText(value)
    if (text !== undefined) this.send(topic, text)
  }

  /** Retained, where it is not what is retained already. */
  private keep(topic: string, text: string): void {
    if (this.textsByTopic.get(topic) === text) return
    this.textsByTopic.set(topic, text)
    this.hand(topic, text, true)
  }

  private send(topic: string, text: string): void {
    this.hand(topic, text, false)
  }

  private hand(topic: string, text: string, retain: boolean): void {
    const payload = Buffer.from(text, "utf8")
    this.space.publish(new Message(topic, payload, 0, payload.length, 0, retain, undefined, this.nowMs(), 0, "", undefined))
  }
}

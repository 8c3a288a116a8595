/**
 * The sessions of one tenant by client id: who takes over whom, which wills are due, which sessions expire.
 *
 * Invariants
 * - A client id has at most one session, and a session at most one connection.
 * - A will is published at most once per connection that set it: when its delay has passed or its session ends, whichever is
 *   first, and not at all where the client said goodbye, came back in time, or was never let in [MQTT-3.1.2-8], [MQTT-3.1.2-10],
 *   [MQTT-3.1.3-9].
 */
import type { ProtocolVersion, Will } from "./codec/Packets.js"
import { ReasonCode } from "./codec/ReasonCode.js"
import { type ClientEvents, type DisconnectReason, noClientEvents } from "./core/ClientEvents.js"
import { neverExpires, Session } from "./core/Session.js"
import type { SessionContext, SessionOutput } from "./core/SessionPorts.js"
import { readWillOrigin, type WillOrigin, willOriginOf } from "./core/SessionRecords.js"
import { TimerHeap } from "./core/TimerHeap.js"
import { WillPublication } from "./WillPublication.js"

export interface OpenRequest {
  readonly clientId: string
  readonly version: ProtocolVersion
  readonly cleanStart: boolean
  readonly expirySeconds: number
  readonly will: Will | undefined
  readonly user: string | undefined
  readonly address: string
}

/** A session as the admin API shows it. */
export interface SessionSummary {
  readonly clientId: string
  readonly user: string | undefined
  readonly address: string
  readonly version: ProtocolVersion
  readonly connected: boolean
  readonly durable: boolean
  readonly expirySeconds: number
  readonly createdAtMs: number
  readonly connectedAtMs: number
  readonly disconnectedAtMs: number
  readonly subscriptions: number
  readonly inflight: number
  readonly queued: number
}

export class SessionRegistry {
  private readonly sessionsByClientId = new Map<string, Session>()
  private readonly timers = new TimerHeap()
  private lastIncarnation = 0
  private connected = 0
  private persistent = 0
  /** Wills published since start. */
  willsPublished = 0
  /** Sessions that ended because their time was over, since start. */
  sessionsExpired = 0
  events: ClientEvents = noClientEvents

  constructor(private readonly context: SessionContext) {}

  get size(): number {
    return this.sessionsByClientId.size
  }

  get connectedCount(): number {
    return this.connected
  }

  /** Sessions that outlive their connections, whether there is one or not. */
  get persistentCount(): number {
    return this.persistent
  }

  get(clientId: string): Session | undefined {
    return this.sessionsByClientId.get(clientId)
  }

  values(): IterableIterator<Session> {
    return this.sessionsByClientId.values()
  }

  /**
   * Gives a client its session: a new one, or the one it left. Whoever has it now is disconnected [MQTT-3.1.4-3]. The caller
   * sends CONNACK, once `Session.afterWrite` says so where the session is durable, and attaches.
   */
  open(request: OpenRequest, client: SessionOutput): { readonly session: Session; readonly present: boolean } {
    const { clientId } = request
    const nowMs = this.context.nowMs()
    let session = this.sessionsByClientId.get(clientId)
    if (session?.client !== undefined) this.takeOver(session, request.cleanStart)
    // What has been due since the last tick, or since before a restart, comes first: its will, or its end.
    else if (session !== undefined) this.deadline(session, nowMs)
    session = this.sessionsByClientId.get(clientId)
    if (session !== undefined && request.cleanStart) {
      // [MQTT-3.1.2-4]
      this.end(session)
      session = undefined
    }
    const present = session !== undefined
    if (session === undefined) {
      const durable = request.expirySeconds > 0
      this.lastIncarnation = Math.max(nowMs, this.lastIncarnation + 1)
      const incarnation = this.lastIncarnation
      session = new Session({ clientId, version: request.version, incarnation, createdAtMs: nowMs, durable }, this.context)
      this.sessionsByClientId.set(clientId, session)
      if (durable) this.persistent++
    }
    session.version = request.version
    session.expirySeconds = request.expirySeconds
    session.user = request.user
    session.address = request.address
    session.will = request.will
    session.connection++
    session.willDueMs = 0
    session.disconnectedAtMs = 0
    session.connectedAtMs = nowMs
    session.client = client
    this.timers.clear(session)
    this.connected++
    if (session.durable) this.context.journal.headerChanged(session)
    return { session, present }
  }

  /**
   * A connection has ended. `keepWill`: it ended other than by DISCONNECT with reason 0. `expirySeconds` where DISCONNECT
   * changed it.
   */
  closed(session: Session, client: SessionOutput, reason: DisconnectReason, keepWill: boolean, expirySeconds?: number): void {
    if (session.client !== client) return
    const nowMs = this.context.nowMs()
    session.client = undefined
    this.connected--
    session.detach()
    session.disconnectedAtMs = nowMs
    if (expirySeconds !== undefined) session.expirySeconds = expirySeconds
    // [MQTT-3.14.4-3]; and where the CONNECT has not been accepted there was none yet [MQTT-3.1.2-8].
    if (!keepWill || !client.accepted) session.will = undefined
    if (client.accepted) this.events.disconnected(session, reason)
    if (session.expirySeconds === 0) {
      this.end(session)
      return
    }
    if (session.will !== undefined) session.willDueMs = nowMs + session.will.delaySeconds * 1000
    this.context.journal.headerChanged(session)
    if (session.willDueMs !== 0 && session.willDueMs <= nowMs) this.publishWill(session)
    this.arm(session)
  }

  /** The deadline of a session without a connection: `SessionContext.deadline` leads here. */
  deadline(session: Session, nowMs: number): void {
    if (session.client !== undefined || session.ended) return
    if (expiresAtMs(session) <= nowMs) {
      this.sessionsExpired++
      this.end(session)
      return
    }
    if (session.willDueMs !== 0 && session.willDueMs <= nowMs) this.publishWill(session)
    this.arm(session)
  }

  /** Lets deadlines come that have. Called a few times a second. */
  advance(nowMs: number): void {
    this.timers.advance(nowMs)
  }

  /** Disconnects a client; answers whether there was one. */
  kick(
    clientId: string,
    reasonCode: number = ReasonCode.administrativeAction,
    text = "disconnected by an administrator"
  ): boolean {
    const client = this.sessionsByClientId.get(clientId)?.client
    client?.end(reasonCode, text)
    return client !== undefined
  }

  /** Ends a session with everything it holds; answers whether there was one. */
  delete(clientId: string): boolean {
    const session = this.sessionsByClientId.get(clientId)
    if (session === undefined) return false
    this.kick(clientId, ReasonCode.administrativeAction, "session deleted by an administrator")
    if (!session.ended) this.end(session)
    return true
  }

  list(offset = 0, limit = 1000): ReadonlyArray<SessionSummary> {
    const summaries: Array<SessionSummary> = []
    let index = 0
    for (const session of this.sessionsByClientId.values()) {
      if (index >= offset + limit) break
      if (index++ >= offset) summaries.push(summaryOf(session))
    }
    return summaries
  }

  /** Sessions made from now on are told apart from this one, which may have ended: whatever the clock says. */
  passIncarnation(incarnation: number): void {
    this.lastIncarnation = Math.max(this.lastIncarnation, incarnation)
  }

  /** Puts back a session from before a restart: nobody is connected to it. */
  restored(session: Session): void {
    const nowMs = this.context.nowMs()
    this.passIncarnation(session.incarnation)
    this.sessionsByClientId.set(session.clientId, session)
    this.persistent++
    if (session.disconnectedAtMs === 0) {
      session.disconnectedAtMs = nowMs
      this.context.journal.headerChanged(session)
    }
    if (session.will !== undefined) session.willDueMs = session.disconnectedAtMs + session.will.delaySeconds * 1000
  }

  /** Timers of restored sessions begin: called when all of them are there, so that their wills find their subscribers. */
  begin(): void {
    for (const session of this.sessionsByClientId.values()) this.arm(session)
  }

  private takeOver(session: Session, cleanStart: boolean): void {
    const client = session.client as SessionOutput
    const { will } = session
    // A delayed will is not for a client that is back already, unless its session ends now [MQTT-3.1.3-9].
    const keepWill = will !== undefined && (will.delaySeconds === 0 || cleanStart || session.expirySeconds === 0)
    this.closed(session, client, "taken-over", keepWill)
    client.end(ReasonCode.sessionTakenOver, "another connection has taken over the session")
  }

  private end(session: Session): void {
    const { client } = session
    if (client !== undefined) {
      session.client = undefined
      this.connected--
      if (client.accepted) this.events.disconnected(session, "kicked")
      client.end(ReasonCode.administrativeAction, "the session has ended")
    }
    this.timers.clear(session)
    this.sessionsByClientId.delete(session.clientId)
    if (session.durable) this.persistent--
    session.end()
    if (session.will !== undefined) this.publishWill(session)
  }

  private arm(session: Session): void {
    const willDueMs = session.willDueMs === 0 ? Number.POSITIVE_INFINITY : session.willDueMs
    const deadlineMs = Math.min(willDueMs, expiresAtMs(session))
    if (deadlineMs === Number.POSITIVE_INFINITY) this.timers.clear(session)
    else this.timers.set(session, deadlineMs)
  }

  /** A will is no longer the session's, but its own: it outlives the session, and a restart. */
  private publishWill(session: Session): void {
    const { will, clientId } = session
    session.will = undefined
    session.willDueMs = 0
    if (will === undefined) return
    this.willsPublished++
    // QoS 0 has nothing to be sure of; a session that does not outlive its connection has nothing that is stored.
    const isKept = session.durable && will.qos > 0
    const origin = isKept ? willOriginOf(clientId, session.incarnation, session.connection) : undefined
    if (session.durable) this.context.journal.headerChanged(session)
    if (origin !== undefined) this.context.journal.willChanged(clientId, origin, will)
    new WillPublication(this.context, clientId, will, origin).publish()
  }

  /** A restart has found that the will of that connection was published. */
  willPublished({ clientId, incarnation, connection }: WillOrigin): void {
    const session = this.sessionsByClientId.get(clientId)
    if (session?.incarnation !== incarnation || session.connection !== connection || session.will === undefined) return
    session.will = undefined
    session.willDueMs = 0
    this.context.journal.headerChanged(session)
  }

  /** Goes on with wills whose publishing a restart interrupted: called when all sessions are there. */
  resumeWills(willsByOrigin: ReadonlyMap<string, Will>): void {
    for (const [origin, will] of willsByOrigin) {
      const found = readWillOrigin(origin)
      if (found !== undefined) this.willPublished(found)
      const clientId = found?.clientId ?? ""
      new WillPublication(this.context, clientId, will, origin).publish()
    }
  }
}

const expiresAtMs = (session: Session): number =>
  session.expirySeconds === neverExpires ? Number.POSITIVE_INFINITY : session.disconnectedAtMs + session.expirySeconds * 1000

const summaryOf = (session: Session): SessionSummary => ({
  clientId: session.clientId,
  user: session.user,
  address: session.address,
  version: session.version,
  connected: session.client !== undefined,
  durable: session.durable,
  expirySeconds: session.expirySeconds,
  createdAtMs: session.createdAtMs,
  connectedAtMs: session.connectedAtMs,
  disconnectedAtMs: session.disconnectedAtMs,
  subscriptions: session.subscriptionCount,
  inflight: session.outbound.inflightCount,
  queued: session.outbound.queuedCount
})

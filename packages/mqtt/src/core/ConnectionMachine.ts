/**
 * One MQTT connection: takes packets in, keeps the protocol's rules, writes answers. One file per control packet in
 * `packets/`; here is the state they share.
 *
 * States: `awaiting` CONNECT, `authenticating` (the parser is stopped, or takes AUTH alone), `connected`, `closing`.
 *
 * Invariants
 * - CONNACK is the first packet sent [MQTT-3.2.0-1]; nothing is sent after DISCONNECT [MQTT-3.14.4-1].
 * - `closing` is final: nothing is handled or written any more.
 * - Acknowledgements leave in the order of their PUBLISH packets.
 */
import type { Acknowledger } from "@effectmq/messaging/Publish"
import type { Message, QoS } from "@effectmq/messaging/Message"
import type { CloseReason, Connection, ConnectionHandler } from "@effectmq/network/Connection"
import { RateLimiter } from "@effectmq/security/core/RateLimiter"
import type { StorageError } from "@effectmq/storage/StorageError"
import { encodePuback, encodePubrec, encodePubrel } from "../codec/Acknowledgement.js"
import { encodeConnack } from "../codec/Connack.js"
import { encodeDisconnect } from "../codec/Disconnect.js"
import type { MalformedPacket } from "../codec/MalformedPacket.js"
import { PacketParser } from "../codec/PacketParser.js"
import { type ConnectPacket, type ControlPacket, packetSizeLimit, type ProtocolVersion } from "../codec/Packets.js"
import type { ParsedPublish } from "../codec/ParsedPublish.js"
import { encodePingresp } from "../codec/Ping.js"
import { encodePublish, type PublishExtras } from "../codec/PublishEncoder.js"
import { mayCarry, ReasonCode } from "../codec/ReasonCode.js"
import { AckQueue, type AckSender } from "./AckQueue.js"
import type { DisconnectReason } from "./ClientEvents.js"
import type { Admission, ConnectionContext, LoginExchange } from "./ConnectionContext.js"
import { handleAuth } from "./packets/Auth.js"
import { handleConnect } from "./packets/Connect.js"
import { handleDisconnect } from "./packets/Disconnect.js"
import { handlePuback } from "./packets/Puback.js"
import { handlePublish, published } from "./packets/Publish.js"
import { handlePubcomp } from "./packets/Pubcomp.js"
import { handlePubrec } from "./packets/Pubrec.js"
import { handlePubrel } from "./packets/Pubrel.js"
import { handleSubscribe } from "./packets/Subscribe.js"
import { handleUnsubscribe } from "./packets/Unsubscribe.js"
import type { MqttOptions } from "./MqttOptions.js"
import type { Session } from "./Session.js"
import type { SessionOutput } from "./SessionPorts.js"
import { InboundAliases, OutboundAliases } from "./TopicAliases.js"

/** Reasons to stop reading, as bits for `Connection.pause`. */
export const pauseFor = { login: 1, acknowledgements: 2, rate: 4 } as const

export type ConnectionState = "awaiting" | "authenticating" | "connected" | "closing"

/** One for all connections: the encoder is done with it when it returns. */
const extras: PublishExtras = {
  topicAlias: 0,
  topicOmitted: false,
  messageExpirySeconds: undefined,
  subscriptionIdentifiers: undefined
}

export class ConnectionMachine implements ConnectionHandler, SessionOutput, Acknowledger, AckSender {
  state: ConnectionState = "awaiting"
  version: ProtocolVersion = 4
  clientId = ""
  accepted = false
  /** Until the connection leaves it. */
  session: Session | undefined = undefined
  /** The same, and afterwards: what was published is taken over later. */
  owner: Session | undefined = undefined
  admission: Admission | undefined = undefined
  /** The CONNECT while it is judged; undefined otherwise. */
  connect: ConnectPacket | undefined = undefined
  /** Method and conversation of enhanced authentication. */
  authenticationMethod: string | undefined = undefined
  exchange: LoginExchange | undefined = undefined
  /** A step of it is being judged. */
  exchangeBusy = false
  /** Largest packet the client takes. */
  packetSizeMax = packetSizeLimit
  receiveMaximum = 65_535
  /** Session expiry as CONNECT said, for DISCONNECT [MQTT-3.14.2-2]. */
  connectExpirySeconds = 0
  /** Reason strings and user properties may be sent [MQTT-3.1.2-29]. */
  problemInformation = true
  private inboundAliases: InboundAliases | undefined = undefined
  private outboundAliases: OutboundAliases | undefined = undefined
  private acks: AckQueue | undefined = undefined
  /** The last topic published to, and what it came to (see packets/Publish). */
  lastTopic = ""
  lastRetain = false
  lastEpoch = -1
  lastReason = 0
  lastTarget = ""
  lastDueMs: ((nowMs: number) => number | undefined) | undefined = undefined
  private rate: RateLimiter | undefined = undefined
  /** Set while the client is not read from because it is over its rate, or its CONNECT is being judged. */
  stopWaiting: (() => void) | undefined = undefined
  private chunkMessages = 0
  private pausedForAcks = false
  /** Why the connection ends, where the broker or a DISCONNECT said so. */
  endedBy: DisconnectReason | undefined = undefined
  readonly parser: PacketParser
  /** As they were when it came: what CONNACK tells the client holds as long as the connection. */
  readonly options: MqttOptions

  constructor(
    readonly connection: Connection,
    readonly context: ConnectionContext
  ) {
    this.options = context.options
    this.parser = new PacketParser(this, this.options.packetSizeMax, context.packetLimits)
    context.counters.connections++
  }

  // --- ConnectionHandler

  onData(chunk: Buffer): void {
    if (this.state === "closing") return
    const { context } = this
    context.counters.bytesReceived += chunk.length
    context.receivedAtMs = context.nowMs()
    const bytes = chunk.length
    this.parser.push(chunk)
    if (this.state === "connected") this.limitRate(bytes)
    if (this.state === "authenticating" && this.parser.heldBytes > this.options.heldBytesMax) {
      this.refuse(ReasonCode.quotaExceeded, "too much sent before CONNACK")
    }
  }

  onUnfinished(bytes: number): void {
    this.parser.holdsOutside(bytes)
  }

  onDrain(): void {
    this.session?.drained()
  }

  /** One and a half times the keep alive have passed in silence [MQTT-3.1.2-22]. */
  onIdle(): void {
    // It may well have spoken: nobody listened.
    if (this.stopWaiting !== undefined) return
    this.context.counters.keepAliveTimeouts++
    this.end(ReasonCode.keepAliveTimeout, "nothing was received for one and a half times the keep alive", "idle-timeout")
  }

  onClose(reason: CloseReason): void {
    const { context } = this
    context.counters.connections--
    this.stopWaiting?.()
    this.parser.close()
    this.left(this.endedBy ?? (reason === "idle-timeout" ? "keep-alive-timeout" : "connection-lost"), true)
    this.state = "closing"
  }

  onShutdown(): void {
    this.endedBy = "shutdown"
    if (this.state === "connected") this.end(ReasonCode.serverShuttingDown, "the server is shutting down", "drain")
    else this.refuse(ReasonCode.serverUnavailable, "the server is shutting down")
  }

  // --- PacketHandler

  onPublish(publish: ParsedPublish): void {
    if (this.state !== "connected") {
      this.unexpected()
      return
    }
    this.chunkMessages++
    handlePublish(this, publish)
  }

  onPuback(packetId: number, _reasonCode: number): void {
    if (this.isConnected()) handlePuback(this, packetId)
  }

  onPubrec(packetId: number, reasonCode: number): void {
    if (this.isConnected()) handlePubrec(this, packetId, reasonCode)
  }

  onPubrel(packetId: number, _reasonCode: number): void {
    if (this.isConnected()) handlePubrel(this, packetId)
  }

  onPubcomp(packetId: number, _reasonCode: number): void {
    if (this.isConnected()) handlePubcomp(this, packetId)
  }

  /** [MQTT-3.12.4-1] */
  onPingreq(): void {
    if (!this.isConnected()) return
    this.context.counters.pings++
    encodePingresp(this.connection)
  }

  onPacket(packet: ControlPacket): void {
    if (packet.type === "connect") {
      handleConnect(this, packet)
    } else if (packet.type === "auth") {
      handleAuth(this, packet)
    } else if (packet.type === "disconnect") {
      handleDisconnect(this, packet)
    } else if (this.isConnected()) {
      if (packet.type === "subscribe") handleSubscribe(this, packet)
      else handleUnsubscribe(this, packet)
    }
  }

  onMalformed(error: MalformedPacket): void {
    this.context.counters.protocolErrors++
    if (error.isShortage) this.logShortage(error)
    const { clause, message } = error
    this.context.log("debug", "protocol error", {
      clientId: this.clientId,
      address: this.connection.remoteAddress,
      clause,
      error: message
    })
    if (this.state === "connected") {
      this.endedBy = "protocol-error"
      this.end(error.reasonCode, message, "protocol-error")
    } else if (this.state !== "closing") {
      if (this.parser.version !== 0) this.version = this.parser.version
      if (this.parser.version === 0) this.close("protocol-error")
      else this.refuse(error.reasonCode, message)
    }
  }

  /** Nobody did wrong, and whoever runs the broker should know. */
  private logShortage({ message }: MalformedPacket): void {
    const { packetLimits, unfinishedLines } = this.context
    const count = unfinishedLines.take(this.context.nowMs())
    if (count === 0) return
    this.context.log("warn", message, {
      clientId: this.clientId,
      address: this.connection.remoteAddress,
      bytes: packetLimits.unfinishedBytes,
      count
    })
  }

  private isConnected(): boolean {
    if (this.state === "connected") return true
    this.unexpected()
    return false
  }

  /** While enhanced authentication goes on, only AUTH and DISCONNECT may come [MQTT-3.1.2-30]. */
  private unexpected(): void {
    if (this.state !== "closing") this.protocolError("only AUTH or DISCONNECT may come before CONNACK")
  }

  // --- SessionOutput

  get saturated(): boolean {
    return this.connection.saturated
  }

  publish(
    message: Message,
    qos: QoS,
    packetId: number,
    dup: boolean,
    retain: boolean,
    subscriptionIds: ReadonlyArray<number> | undefined
  ): boolean {
    const { connection, version, packetSizeMax } = this
    const { counters } = this.context
    counters.publishesSent++
    counters.publishBytesSent += message.payloadEnd - message.payloadStart
    if (version !== 5 || (message.expiresAtMs === 0 && subscriptionIds === undefined && this.outboundAliases === undefined)) {
      return encodePublish(connection, version, message, qos, retain, dup, packetId, undefined, packetSizeMax)
    }
    const aliases = this.outboundAliases
    extras.topicAlias = aliases === undefined ? 0 : aliases.aliasOf(message.topic)
    extras.topicOmitted = extras.topicAlias !== 0 && (aliases as OutboundAliases).known
    extras.subscriptionIdentifiers = subscriptionIds
    extras.messageExpirySeconds = message.expiresAtMs === 0 ? undefined : secondsLeft(message, this.context.nowMs())
    const sent = encodePublish(connection, version, message, qos, retain, dup, packetId, extras, packetSizeMax)
    if (!sent && extras.topicAlias !== 0 && !extras.topicOmitted) aliases?.forget(message.topic)
    return sent
  }

  pubrel(packetId: number): void {
    this.context.counters.acknowledgementsSent++
    encodePubrel(this.connection, this.version, packetId, ReasonCode.success)
  }

  /** Ends the connection: in version 5 with DISCONNECT, in older ones without a word. */
  end(reasonCode: number, reasonString: string, close: CloseReason = "closed-by-broker"): void {
    if (this.state === "closing") return
    if (this.state !== "connected") {
      this.refuse(reasonCode, reasonString)
      return
    }
    this.endedBy ??= endedByReason(reasonCode)
    if (this.endedBy === "taken-over") this.context.counters.takeovers++
    if (this.version === 5) {
      encodeDisconnect(
        this.connection,
        { reasonCode, reasonString: this.problemInformation ? reasonString : undefined },
        this.packetSizeMax
      )
    }
    this.close(close)
  }

  // --- Acknowledger: what was published is taken over

  acknowledged(token: number, error: StorageError | undefined, matched: number, source: number): void {
    published(this, token, error, matched, source >= 0)
  }

  deliverLater(token: number, deliver: () => void): void {
    this.owner?.inbound.deliverLater(this.ackQueue.packetId(token), deliver)
  }

  sendPuback(packetId: number, reasonCode: number): void {
    this.context.counters.acknowledgementsSent++
    encodePuback(this.connection, this.version, packetId, reasonCode)
  }

  sendPubrec(packetId: number, reasonCode: number): void {
    this.context.counters.acknowledgementsSent++
    encodePubrec(this.connection, this.version, packetId, reasonCode)
  }

  get ackQueue(): AckQueue {
    return (this.acks ??= new AckQueue())
  }

  get pendingAcks(): number {
    return this.acks === undefined ? 0 : this.acks.size
  }

  /** Of these, those for QoS 1. */
  get pendingPubacks(): number {
    return this.acks === undefined ? 0 : this.acks.pubacks
  }

  /** The acknowledgement of a PUBLISH may go as soon as it is its turn. */
  finishAck(token: number, reasonCode: number): void {
    if (this.state !== "connected") return
    this.ackQueue.finish(token, reasonCode, this)
    if (this.pausedForAcks && this.pendingAcks <= this.options.receiveMaximum / 2) {
      this.pausedForAcks = false
      this.parser.resume()
      this.connection.resume(pauseFor.acknowledgements)
    }
  }

  /** A client of 3.1 or 3.1.1 knows no receive maximum: it is not read from while too much is unacknowledged. */
  pauseForAcks(): void {
    if (this.pausedForAcks) return
    this.pausedForAcks = true
    this.parser.stop()
    this.connection.pause(pauseFor.acknowledgements)
  }

  // --- the way out

  /** A packet the protocol forbids. */
  protocolError(message: string, reasonCode: number = ReasonCode.protocolError): void {
    this.context.counters.protocolErrors++
    this.context.log("debug", "protocol error", {
      clientId: this.clientId,
      address: this.connection.remoteAddress,
      error: message
    })
    this.endedBy = "protocol-error"
    this.end(reasonCode, message, "protocol-error")
  }

  /** Answers CONNECT with a reason and ends the connection [MQTT-3.1.4-2]; before CONNECT it ends without a word. */
  refuse(reasonCode: number, reasonString: string): void {
    if (this.state === "closing") return
    this.context.counters.connectsRefused++
    if (this.parser.version !== 0) {
      const text = this.problemInformation ? reasonString : undefined
      const code = mayCarry("connack", reasonCode) ? reasonCode : ReasonCode.serverUnavailable
      encodeConnack(
        this.connection,
        this.version,
        { sessionPresent: false, reasonCode: code, reasonString: text },
        this.packetSizeMax
      )
    }
    this.endedBy ??= "refused-by-broker"
    this.close("closed-by-broker")
  }

  close(reason: CloseReason): void {
    if (this.state === "closing") return
    const wasConnected = this.session !== undefined
    this.state = "closing"
    this.parser.close()
    if (wasConnected) this.left(this.endedBy ?? "connection-lost", true)
    this.connection.close(reason)
  }

  /** The session is without this connection from now on. Called once or more; the first counts. */
  left(reason: DisconnectReason, keepWill: boolean, expirySeconds?: number): void {
    const { session, admission } = this
    if (session === undefined || admission === undefined) return
    this.session = undefined
    admission.tenant.registry.closed(session, this, reason, keepWill, expirySeconds)
  }

  // --- setting up

  setOutboundAliases(maximum: number): void {
    this.outboundAliases = maximum === 0 ? undefined : new OutboundAliases(maximum)
  }

  /** What a PUBLISH with an alias is about; undefined where the alias is not valid. Only version 5 has aliases. */
  resolveAlias(alias: number, topic: string): string | undefined {
    this.inboundAliases ??= new InboundAliases(this.options.topicAliasMaximum)
    return this.inboundAliases.resolve(alias, topic)
  }

  /** Takes over the rate that clients may have now; one that waits is judged by it anew. */
  followRate(): void {
    const { clientRate } = this.context.options
    const isLimited = clientRate.messagesPerSecond > 0 || clientRate.bytesPerSecond > 0
    if (!isLimited) this.rate = undefined
    else if (this.rate === undefined) this.rate = new RateLimiter(clientRate)
    else this.rate.configure(clientRate)
    if (this.state !== "connected" || this.stopWaiting === undefined) return
    this.stopWaiting()
    this.stopWaiting = undefined
    this.connection.resume(pauseFor.rate)
  }

  /** Messages and bytes over the limit stop the reading for a while. */
  private limitRate(bytes: number): void {
    const messages = this.chunkMessages
    this.chunkMessages = 0
    const tenantRate = this.admission?.tenant.rate
    if (this.rate === undefined && (tenantRate === undefined || tenantRate.unlimited)) return
    const nowMs = this.context.receivedAtMs
    const own = this.rate === undefined ? 0 : this.rate.take(nowMs, messages, bytes)
    const tenants = tenantRate === undefined ? 0 : tenantRate.take(nowMs, messages, bytes)
    const waitMs = Math.max(own, tenants)
    if (waitMs === 0 || this.state !== "connected") return
    this.context.counters.rateLimited++
    this.connection.pause(pauseFor.rate)
    // What had been read already still comes, and makes the wait longer.
    this.stopWaiting?.()
    this.stopWaiting = this.context.after(waitMs, () => {
      this.stopWaiting = undefined
      if (this.state === "connected") this.connection.resume(pauseFor.rate)
    })
  }
}

const expirySecondsMax = 0xffffffff

/** What is left of its life [MQTT-3.3.2-6]: never more than it was given, though the clock has since been set back. */
const secondsLeft = ({ publishedAtMs, expiresAtMs }: Message, nowMs: number): number =>
  Math.min(Math.max(0, Math.ceil((expiresAtMs - Math.max(publishedAtMs, nowMs)) / 1000)), expirySecondsMax)

const endedByReason = (reasonCode: number): DisconnectReason => {
  switch (reasonCode) {
    case ReasonCode.sessionTakenOver:
      return "taken-over"
    case ReasonCode.keepAliveTimeout:
      return "keep-alive-timeout"
    case ReasonCode.administrativeAction:
      return "kicked"
    case ReasonCode.serverShuttingDown:
      return "shutdown"
    default:
      return "refused-by-broker"
  }
}

/**
 * What a client sends, encoded by mqtt-packet, comes out of the parser as it went in, whatever the chunks.
 */
import * as fc from "fast-check"
import { generate, type Packet } from "mqtt-packet"
import { describe, expect, it } from "vitest"
import type { ConnectPacket, ProtocolVersion } from "../src/codec/Packets.js"
import {
  bytes,
  chunked,
  connectBytes,
  maybe,
  packetId,
  record,
  type Seen,
  text,
  topicName,
  uint16,
  uint32,
  userProperties
} from "./codecArbitraries.js"

interface Case {
  readonly input: Packet
  readonly expected: Seen
}

const object = (pairs: ReadonlyArray<readonly [string, string]> | undefined) =>
  pairs === undefined ? {} : { userProperties: Object.fromEntries(pairs) }

const publish = (version: ProtocolVersion): fc.Arbitrary<Case> =>
  fc
    .record({
      topic: topicName,
      payload: bytes,
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      dup: fc.boolean(),
      retain: fc.boolean(),
      packetId,
      aliasOnly: fc.boolean(),
      properties: maybe({
        payloadFormat: fc.constantFrom(0 as const, 1 as const),
        messageExpirySeconds: uint32,
        topicAlias: packetId,
        responseTopic: topicName,
        correlationData: bytes,
        userProperties,
        contentType: text()
      })
    })
    .map((p) => {
      const five = version === 5
      const { payloadFormat, messageExpirySeconds, topicAlias, responseTopic, correlationData, contentType } = p.properties
      const user = p.properties.userProperties
      const dup = p.dup && p.qos > 0
      const topic = five && p.aliasOnly && topicAlias !== undefined ? "" : p.topic
      const carried = { payloadFormat, contentType, responseTopic, correlationData, userProperties: user }
      const some = five && Object.values(carried).some((value) => value !== undefined)
      const input = {
        cmd: "publish",
        topic,
        payload: p.payload,
        qos: p.qos,
        dup,
        retain: p.retain,
        messageId: p.packetId,
        ...(five
          ? {
              properties: {
                ...(payloadFormat === undefined ? {} : { payloadFormatIndicator: payloadFormat === 1 }),
                ...(messageExpirySeconds === undefined ? {} : { messageExpiryInterval: messageExpirySeconds }),
                ...(topicAlias === undefined ? {} : { topicAlias }),
                ...(responseTopic === undefined ? {} : { responseTopic }),
                ...(correlationData === undefined ? {} : { correlationData }),
                ...object(user),
                ...(contentType === undefined ? {} : { contentType })
              }
            }
          : {})
      } as Packet
      const expected = {
        kind: "publish",
        topic,
        topicBytes: topic,
        payload: p.payload,
        frame: generate(input, { protocolVersion: version }),
        qos: p.qos,
        dup,
        retain: p.retain,
        packetId: p.qos === 0 ? 0 : p.packetId,
        topicAlias: five ? (topicAlias ?? 0) : 0,
        messageExpirySeconds: five ? messageExpirySeconds : undefined,
        hasProperties: five && Object.keys(p.properties).length > 0,
        properties: some ? carried : undefined
      }
      return { input, expected }
    })

const acknowledgement = (version: ProtocolVersion): fc.Arbitrary<Case> =>
  fc
    .record({
      kind: fc.constantFrom("puback" as const, "pubrec" as const, "pubrel" as const, "pubcomp" as const),
      packetId,
      bad: fc.boolean(),
      properties: fc.option(maybe({ reasonString: text(), userProperties }), { nil: undefined })
    })
    .map(({ kind, packetId, bad, properties }) => {
      const reasonCode = version === 5 && bad ? (kind === "puback" || kind === "pubrec" ? 0x97 : 0x92) : 0
      return {
        input: {
          cmd: kind,
          messageId: packetId,
          reasonCode,
          ...(version === 5 && properties !== undefined && Object.keys(properties).length > 0
            ? { properties: { ...properties, ...object(properties.userProperties) } }
            : {})
        } as Packet,
        expected: { kind, packetId, reasonCode }
      }
    })

const subscribe = (version: ProtocolVersion): fc.Arbitrary<Case> =>
  fc
    .record({
      packetId,
      entries: fc.array(
        fc.record({
          filter: text(1).map((s) => s.replace(/^\$share/, "-")),
          qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
          noLocal: fc.boolean(),
          retainAsPublished: fc.boolean(),
          retainHandling: fc.constantFrom(0 as const, 1 as const, 2 as const)
        }),
        { minLength: 1, maxLength: 5 }
      ),
      properties: maybe({ subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }), userProperties })
    })
    .map(({ packetId, entries, properties }) => {
      const five = version === 5
      const { subscriptionIdentifier, userProperties: user } = properties
      const input = {
        cmd: "subscribe",
        messageId: packetId,
        subscriptions: entries.map((entry) =>
          five
            ? { topic: entry.filter, qos: entry.qos, nl: entry.noLocal, rap: entry.retainAsPublished, rh: entry.retainHandling }
            : { topic: entry.filter, qos: entry.qos }
        ),
        ...(five
          ? { properties: { ...(subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }), ...object(user) } }
          : {})
      } as Packet
      const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 }
      const packet = {
        type: "subscribe",
        packetId,
        subscriptionIdentifier: five ? subscriptionIdentifier : undefined,
        userProperties: five ? user : undefined,
        entries: five ? entries : entries.map((entry) => ({ ...entry, ...plain }))
      }
      return { input, expected: { kind: "subscribe", packet } }
    })

const unsubscribe = (version: ProtocolVersion): fc.Arbitrary<Case> =>
  fc
    .record({
      packetId,
      filters: fc.array(text(1), { minLength: 1, maxLength: 5 }),
      user: fc.option(userProperties, { nil: undefined })
    })
    .map(({ packetId, filters, user }) => {
      const five = version === 5
      return {
        input: {
          cmd: "unsubscribe",
          messageId: packetId,
          unsubscriptions: filters,
          ...(five ? { properties: object(user) } : {})
        } as Packet,
        expected: {
          kind: "unsubscribe",
          packet: { type: "unsubscribe", packetId, userProperties: five ? user : undefined, filters }
        }
      }
    })

const disconnect = (version: ProtocolVersion): fc.Arbitrary<Case> =>
  fc
    .record({
      code: fc.constantFrom(0, 4, 0x80, 0x81, 0x95),
      properties: maybe({ sessionExpirySeconds: uint32, reasonString: text(), userProperties })
    })
    .map(({ code, properties }) => {
      const five = version === 5
      const { sessionExpirySeconds, reasonString, userProperties: user } = properties
      const packet = {
        type: "disconnect",
        reasonCode: five ? code : 0,
        sessionExpirySeconds: five ? sessionExpirySeconds : undefined,
        reasonString: five ? reasonString : undefined,
        userProperties: five ? user : undefined
      }
      const input = five
        ? {
            cmd: "disconnect",
            reasonCode: code,
            properties: {
              ...(sessionExpirySeconds === undefined ? {} : { sessionExpiryInterval: sessionExpirySeconds }),
              ...(reasonString === undefined ? {} : { reasonString }),
              ...object(user)
            }
          }
        : { cmd: "disconnect" }
      return { input: input as Packet, expected: { kind: "disconnect", packet } }
    })

const auth: fc.Arbitrary<Case> = fc
  .record({
    reasonCode: fc.constantFrom(0x18, 0x19),
    authenticationMethod: text(),
    rest: maybe({ authenticationData: bytes, reasonString: text(), userProperties })
  })
  .map(({ reasonCode, authenticationMethod, rest }) => {
    const packet = {
      type: "auth",
      reasonCode,
      authenticationMethod,
      authenticationData: rest.authenticationData,
      reasonString: rest.reasonString,
      userProperties: rest.userProperties
    }
    const properties = { authenticationMethod, ...rest, ...object(rest.userProperties) }
    return { input: { cmd: "auth", reasonCode, properties } as Packet, expected: { kind: "auth", packet } }
  })

const pingreq = fc.constant<Case>({ input: { cmd: "pingreq" }, expected: { kind: "pingreq" } })

const anyPacket = (version: ProtocolVersion): fc.Arbitrary<Case> =>
  fc.oneof(
    { arbitrary: publish(version), weight: 4 },
    { arbitrary: acknowledgement(version), weight: 3 },
    subscribe(version),
    unsubscribe(version),
    disconnect(version),
    pingreq,
    ...(version === 5 ? [auth] : [])
  )

const willArbitrary = fc.record({
  topic: topicName,
  payload: bytes,
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  properties: maybe({
    willDelayInterval: uint32,
    payloadFormat: fc.constantFrom(0 as const, 1 as const),
    messageExpiryInterval: uint32,
    contentType: text(),
    responseTopic: topicName,
    correlationData: bytes,
    userProperties
  })
})

const connect = (version: ProtocolVersion): fc.Arbitrary<{ input: Packet; expected: ConnectPacket }> =>
  fc
    .record({
      clientId: text(1),
      clean: fc.boolean(),
      keepAliveSeconds: uint16,
      username: fc.option(text(), { nil: undefined }),
      password: fc.option(bytes, { nil: undefined }),
      will: fc.option(willArbitrary, { nil: undefined }),
      method: fc.option(fc.tuple(text(), fc.option(bytes, { nil: undefined })), { nil: undefined }),
      properties: maybe({
        sessionExpiryInterval: uint32,
        receiveMaximum: packetId,
        maximumPacketSize: fc.integer({ min: 1, max: 4_294_967_295 }),
        topicAliasMaximum: uint16,
        requestResponseInformation: fc.boolean(),
        requestProblemInformation: fc.boolean(),
        userProperties
      })
    })
    .map((c) => {
      const five = version === 5
      const { userProperties: user, ...numbers } = c.properties
      const password = c.username === undefined ? undefined : c.password
      const method = c.method
      const w = c.will
      const carried = {
        payloadFormat: w?.properties.payloadFormat,
        contentType: w?.properties.contentType,
        responseTopic: w?.properties.responseTopic,
        correlationData: w?.properties.correlationData,
        userProperties: w?.properties.userProperties
      }
      const some = five && Object.values(carried).some((value) => value !== undefined)
      const { payloadFormat, userProperties: willUser, ...willNumbers } = w?.properties ?? {}
      const input = {
        cmd: "connect",
        protocolId: version === 3 ? "MQIsdp" : "MQTT",
        protocolVersion: version,
        clientId: c.clientId,
        clean: c.clean,
        keepalive: c.keepAliveSeconds,
        ...(c.username === undefined ? {} : { username: c.username }),
        ...(password === undefined ? {} : { password }),
        ...(w === undefined
          ? {}
          : {
              will: {
                topic: w.topic,
                payload: w.payload,
                qos: w.qos,
                retain: w.retain,
                ...(five
                  ? {
                      properties: {
                        ...willNumbers,
                        ...(payloadFormat === undefined ? {} : { payloadFormatIndicator: payloadFormat === 1 }),
                        ...object(willUser)
                      }
                    }
                  : {})
              }
            }),
        ...(five
          ? {
              properties: {
                ...numbers,
                ...object(user),
                ...(method === undefined ? {} : { authenticationMethod: method[0] }),
                ...(method?.[1] === undefined ? {} : { authenticationData: method[1] })
              }
            }
          : {})
      } as Packet
      const expected: ConnectPacket = {
        type: "connect",
        version,
        cleanStart: c.clean,
        keepAliveSeconds: c.keepAliveSeconds,
        clientId: c.clientId,
        username: c.username,
        password,
        will:
          w === undefined
            ? undefined
            : {
                topic: w.topic,
                payload: w.payload,
                qos: w.qos,
                retain: w.retain,
                delaySeconds: five ? (w.properties.willDelayInterval ?? 0) : 0,
                messageExpirySeconds: five ? w.properties.messageExpiryInterval : undefined,
                properties: some ? carried : undefined
              },
        sessionExpirySeconds: five ? numbers.sessionExpiryInterval : undefined,
        receiveMaximum: five ? (numbers.receiveMaximum ?? 65_535) : 65_535,
        maximumPacketSize: five ? Math.min(numbers.maximumPacketSize ?? 268_435_460, 268_435_460) : 268_435_460,
        topicAliasMaximum: five ? (numbers.topicAliasMaximum ?? 0) : 0,
        requestResponseInformation: five ? (numbers.requestResponseInformation ?? false) : false,
        requestProblemInformation: five ? (numbers.requestProblemInformation ?? true) : true,
        authenticationMethod: five ? method?.[0] : undefined,
        authenticationData: five ? method?.[1] : undefined,
        userProperties: five ? user : undefined
      }
      return { input, expected }
    })

const cuts = fc.oneof(fc.constant("whole" as const), fc.constant("single bytes" as const), fc.array(fc.nat(), { maxLength: 10 }))

describe.each([3, 4, 5] as const)("version %i", (version) => {
  it("parses every packet of mqtt-packet, under any chunking", () => {
    fc.assert(
      fc.property(fc.array(anyPacket(version), { minLength: 1, maxLength: 8 }), cuts, (cases, cuts) => {
        const { parser, seen, errors } = record()
        parser.push(connectBytes(version))
        seen.length = 0
        const stream = Buffer.concat(cases.map(({ input }) => generate(input, { protocolVersion: version })))
        for (const chunk of chunked(stream, cuts)) parser.push(chunk)
        expect(errors).toEqual([])
        expect(seen).toEqual(cases.map(({ expected }) => expected))
        expect(parser.heldBytes).toBe(0)
      }),
      { numRuns: 300 }
    )
  })

  it("parses CONNECT, under any chunking", () => {
    fc.assert(
      fc.property(connect(version), cuts, ({ input, expected }, cuts) => {
        const { parser, seen, errors } = record()
        for (const chunk of chunked(generate(input, { protocolVersion: version }), cuts)) parser.push(chunk)
        expect(errors).toEqual([])
        expect(seen).toEqual([{ kind: "connect", packet: expected }])
        expect(parser.version).toBe(version)
      }),
      { numRuns: 200 }
    )
  })

  it("goes on where it was stopped, packet by packet", () => {
    fc.assert(
      fc.property(fc.array(anyPacket(version), { minLength: 1, maxLength: 6 }), cuts, (cases, cuts) => {
        const { parser, seen, errors, after } = record()
        parser.push(connectBytes(version))
        seen.length = 0
        after.each = () => parser.stop()
        const stream = Buffer.concat(cases.map(({ input }) => generate(input, { protocolVersion: version })))
        for (const chunk of chunked(stream, cuts)) parser.push(chunk)
        for (let i = 1; i <= cases.length; i++) {
          expect(seen.length).toBe(i)
          expect(parser.heldBytes > 0).toBe(i < cases.length)
          parser.resume()
        }
        expect(errors).toEqual([])
        expect(seen).toEqual(cases.map(({ expected }) => expected))
        expect(parser.heldBytes).toBe(0)
      }),
      { numRuns: 100 }
    )
  })
})

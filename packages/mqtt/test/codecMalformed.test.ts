/**
 * Bytes that a client must not send, each with the reason code it is refused with and, where there is one, the clause.
 */
import { describe, expect, it } from "vitest"
import type { ProtocolVersion } from "../src/codec/Packets.js"
import { connectBytes, record } from "./codecArbitraries.js"

const refusal = (version: ProtocolVersion | 0, hex: string, packetSizeMax?: number) => {
  const { parser, seen, errors } = record(packetSizeMax)
  if (version !== 0) parser.push(connectBytes(version))
  const before = seen.length
  parser.push(Buffer.from(hex.replaceAll(" ", ""), "hex"))
  expect(seen.length).toBe(before)
  const [error] = errors
  return error === undefined
    ? "accepted"
    : `${error.reasonCode.toString(16)}${error.clause === "" ? "" : ` ${error.clause}`} v${parser.version}`
}

/** Version, what is wrong, the bytes, how it is refused. */
const vectors: ReadonlyArray<readonly [ProtocolVersion | 0, string, string, string]> = [
  // CONNECT
  [0, "another packet first", "c000", "82 MQTT-3.1.0-1 v0"],
  [0, "a server's packet first", "20020000", "82 MQTT-3.1.0-1 v0"],
  [0, "HTTP", "474554202f20485454502f312e31", "82 MQTT-3.1.0-1 v0"],
  [4, "a second CONNECT", "100d 00044d515454 04 02 0000 0001 61", "82 MQTT-3.1.0-2 v4"],
  [0, "flags of the first byte", "110d 00044d515454 04 02 0000 0001 61", "81 MQTT-2.2.2-2 v0"],
  [0, "another protocol's name", "100d 00044d515458 04 02 0000 0001 61", "84 MQTT-3.1.2-1 v0"],
  [0, "the name of 3.1 with the level of 3.1.1", "100f 00064d5149736470 04 02 0000 0001 61", "84 MQTT-3.1.2-2 v4"],
  [0, "level 3 with the new name", "100d 00044d515454 03 02 0000 0001 61", "84 MQTT-3.1.2-2 v4"],
  [0, "level 6", "100d 00044d515454 06 02 0000 0001 61", "84 MQTT-3.1.2-2 v5"],
  [0, "a bridge's level", "100d 00044d515454 84 02 0000 0001 61", "84 MQTT-3.1.2-2 v4"],
  [0, "the reserved flag", "100d 00044d515454 04 03 0000 0001 61", "81 MQTT-3.1.2-3 v4"],
  [0, "will QoS without will, 3.1.1", "100d 00044d515454 04 0a 0000 0001 61", "81 MQTT-3.1.2-13 v4"],
  [0, "will retain without will, 3.1.1", "100d 00044d515454 04 22 0000 0001 61", "81 MQTT-3.1.2-15 v4"],
  [0, "will QoS 3, 3.1.1", "1013 00044d515454 04 1e 0000 0001 61 0001 62 0001 63", "81 MQTT-3.1.2-14 v4"],
  [0, "will QoS without will, 5", "100e 00044d515454 05 0a 0000 00 0001 61", "81 MQTT-3.1.2-11 v5"],
  [0, "will retain without will, 5", "100e 00044d515454 05 22 0000 00 0001 61", "81 MQTT-3.1.2-13 v5"],
  [0, "will QoS 3, 5", "1015 00044d515454 05 1e 0000 00 0001 61 00 0001 62 0001 63", "81 MQTT-3.1.2-12 v5"],
  [0, "a password without a user name, 3.1.1", "1010 00044d515454 04 42 0000 0001 61 0001 70", "81 MQTT-3.1.2-22 v4"],
  [0, "no client id without clean session, 3.1.1", "100c 00044d515454 04 00 0000 0000", "85 MQTT-3.1.3-8 v4"],
  [0, "no client id, 3.1", "100e 00064d5149736470 03 02 0000 0000", "85 MQTT-3.1.3-8 v3"],
  [0, "bytes behind the payload", "100e 00044d515454 04 02 0000 0001 61 00", "81 v4"],
  [0, "a payload that ends early", "100c 00044d515454 04 82 0000 0000", "81 v4"],
  [0, "a client id of ill-formed UTF-8", "100e 00044d515454 04 02 0000 0002 c328", "81 MQTT-1.5.4-1 v4"],
  [0, "a client id with a surrogate", "100f 00044d515454 04 02 0000 0003 eda080", "81 MQTT-1.5.4-1 v4"],
  [0, "a client id with U+0000", "100e 00044d515454 04 02 0000 0002 6100", "81 MQTT-1.5.4-2 v4"],
  [0, "a will topic with a wildcard", "1014 00044d515454 04 06 0000 0001 61 0002 622b 0001 63", "90 MQTT-4.7.1-1 v4"],
  [0, "a will topic of no length", "1012 00044d515454 04 06 0000 0001 61 0000 0001 63", "90 MQTT-4.7.3-1 v4"],
  [0, "receive maximum 0", "1011 00044d515454 05 02 0000 03210000 0001 61", "82 MQTT-2.2.2 v5"],
  [0, "maximum packet size 0", "1013 00044d515454 05 02 0000 052700000000 0001 61", "82 MQTT-2.2.2 v5"],
  [0, "request problem information 2", "1010 00044d515454 05 02 0000 021702 0001 61", "82 MQTT-2.2.2 v5"],
  [0, "a property twice", "1014 00044d515454 05 02 0000 06 210001 210001 0001 61", "82 MQTT-2.2.2 v5"],
  [0, "a property of PUBLISH", "1011 00044d515454 05 02 0000 03230001 0001 61", "82 MQTT-2.2.2 v5"],
  [0, "a property nobody knows", "1010 00044d515454 05 02 0000 027f00 0001 61", "81 MQTT-2.2.2 v5"],
  [0, "authentication data without method", "1012 00044d515454 05 02 0000 0416000178 0001 61", "82 v5"],
  [0, "properties longer than the packet", "100e 00044d515454 05 02 0000 7f 0001 61", "81 v5"],
  [0, "a property across the end of the properties", "1010 00044d515454 05 02 0000 02 2100 05 0001 61", "81 v5"],
  [0, "an overlong remaining length, 5", "108e00 00044d515454 05 02 0000 00 0001 61", "81 MQTT-1.5.5-1 v5"],
  // framing
  [4, "a remaining length of five bytes", "30ffffffff01", "81 MQTT-1.5.5-1 v4"],
  [5, "an overlong remaining length", "c08000", "81 MQTT-1.5.5-1 v5"],
  [5, "an overlong property length", "e0 03 00 8000", "81 MQTT-1.5.5-1 v5"],
  [4, "packet type 0", "0000", "81 v4"],
  [4, "CONNACK from a client", "20020000", "82 v4"],
  [4, "SUBACK from a client", "9003000100", "82 v4"],
  [4, "UNSUBACK from a client", "b0020001", "82 v4"],
  [4, "PINGRESP from a client", "d000", "82 v4"],
  [4, "AUTH before 5", "f000", "82 v4"],
  [3, "AUTH before 5", "f000", "82 v3"],
  [4, "flags of PUBACK", "41020001", "81 MQTT-2.2.2-2 v4"],
  [5, "flags of PUBREC", "51020001", "81 MQTT-2.1.3-1 v5"],
  [4, "flags of PUBREL", "60020001", "81 MQTT-2.2.2-2 v4"],
  [4, "flags of PUBCOMP", "72020001", "81 MQTT-2.2.2-2 v4"],
  [4, "flags of SUBSCRIBE", "8006 0001 0001 61 00", "81 MQTT-2.2.2-2 v4"],
  [4, "DUP of SUBSCRIBE", "8a06 0001 0001 61 00", "81 MQTT-2.2.2-2 v4"],
  [4, "flags of UNSUBSCRIBE", "a105 0001 0001 61", "81 MQTT-2.2.2-2 v4"],
  [4, "flags of PINGREQ", "c100", "81 MQTT-2.2.2-2 v4"],
  [5, "flags of DISCONNECT", "e100", "81 MQTT-2.1.3-1 v5"],
  [5, "flags of AUTH", "f100", "81 MQTT-2.1.3-1 v5"],
  // PUBLISH
  [4, "QoS 3", "36 05 0001 61 0001", "81 MQTT-3.3.1-4 v4"],
  [4, "DUP with QoS 0", "38 03 0001 61", "81 MQTT-3.3.1-2 v4"],
  [5, "DUP with QoS 0", "38 04 0001 61 00", "81 MQTT-3.3.1-2 v5"],
  [4, "no topic field", "30 00", "81 v4"],
  [4, "a topic of no length", "30 02 0000", "82 MQTT-4.7.3-1 v4"],
  [5, "a topic of no length and no alias", "30 03 0000 00", "82 MQTT-4.7.3-1 v5"],
  [4, "a topic that ends early", "30 03 0005 61", "81 v4"],
  [4, "a packet id that ends early", "32 04 0001 61 00", "81 v4"],
  [4, "packet id 0", "32 05 0001 61 0000", "82 MQTT-2.2.1-3 v4"],
  [4, "a + in the topic", "30 04 0002 612b", "90 MQTT-3.3.2-2 v4"],
  [5, "a # in the topic", "30 05 0002 2361 00", "90 MQTT-3.3.2-2 v5"],
  [4, "U+0000 in the topic", "30 04 0002 6100", "81 MQTT-1.5.4-2 v4"],
  [4, "ill-formed UTF-8 in the topic", "30 04 0002 c328", "81 MQTT-1.5.4-1 v4"],
  [4, "a surrogate in the topic", "30 05 0003 eda080", "81 MQTT-1.5.4-1 v4"],
  [5, "no property length", "30 03 0001 61", "81 v5"],
  [5, "topic alias 0", "30 07 0001 61 03230000", "94 MQTT-3.3.2-8 v5"],
  [5, "topic alias 0 with another property", "30 09 0001 61 05 0101 230000", "94 MQTT-3.3.2-8 v5"],
  [5, "a topic alias twice", "30 0a 0001 61 06230001230001", "82 MQTT-2.2.2 v5"],
  [5, "a subscription identifier", "30 06 0001 61 020b01", "82 MQTT-2.2.2 v5"],
  [5, "payload format 2", "30 06 0001 61 020102", "82 MQTT-2.2.2 v5"],
  [5, "a response topic with a wildcard", "30 08 0001 61 0408000123", "82 MQTT-3.3.2-14 v5"],
  [5, "a content type that is not UTF-8", "30 08 0001 61 04030001ff", "81 MQTT-1.5.4-1 v5"],
  [5, "half a user property", "30 08 0001 61 0426000161", "81 v5"],
  // acknowledgements
  [4, "PUBACK without packet id", "4000", "81 v4"],
  [4, "PUBACK with packet id 0", "40020000", "82 MQTT-2.2.1-3 v4"],
  [4, "PUBACK with a reason code before 5", "4003000100", "81 v4"],
  [5, "PUBACK with a code of PUBREL", "4003000192", "82 MQTT-3.4.2-1 v5"],
  [5, "PUBREC with an unknown code", "50030001ff", "82 MQTT-3.5.2-1 v5"],
  [5, "PUBREL with a code of PUBACK", "6203000187", "82 MQTT-3.6.2-1 v5"],
  [5, "PUBCOMP with a code of PUBACK", "7003000187", "82 MQTT-3.7.2-1 v5"],
  [5, "PUBACK with two reason strings", "400a 0001 00 06 1f0000 1f0000", "82 MQTT-2.2.2 v5"],
  [5, "PUBACK with bytes behind its properties", "4005 0001 00 00 00", "81 v5"],
  // SUBSCRIBE and UNSUBSCRIBE
  [4, "SUBSCRIBE without a filter", "82020001", "82 MQTT-3.8.3-3 v4"],
  [5, "SUBSCRIBE without a filter", "8203000100", "82 MQTT-3.8.3-2 v5"],
  [4, "SUBSCRIBE with packet id 0", "8206 0000 0001 61 00", "82 MQTT-2.2.1-3 v4"],
  [4, "SUBSCRIBE without options", "8205 0001 0001 61", "81 v4"],
  [4, "SUBSCRIBE with an empty filter", "8205 0001 0000 00", "82 MQTT-4.7.3-1 v4"],
  [4, "SUBSCRIBE QoS 3", "8206 0001 0001 61 03", "81 MQTT-3.8.3-4 v4"],
  [4, "SUBSCRIBE with options of 5", "8206 0001 0001 61 04", "81 MQTT-3.8.3-4 v4"],
  [5, "SUBSCRIBE QoS 3, 5", "8207 0001 00 0001 61 03", "82 MQTT-3.8.3-5 v5"],
  [5, "SUBSCRIBE with reserved bits", "8207 0001 00 0001 61 40", "81 MQTT-3.8.3-5 v5"],
  [5, "SUBSCRIBE with retain handling 3", "8207 0001 00 0001 61 30", "82 v5"],
  [5, "no local on a shared subscription", "820f 0001 00 0009 2473686172652f672f 04", "82 MQTT-3.8.3-4 v5"],
  [5, "subscription identifier 0", "8209 0001 020b00 0001 61 00", "82 MQTT-2.2.2 v5"],
  [5, "subscription identifier twice", "820b 0001 040b010b02 0001 61 00", "82 MQTT-2.2.2 v5"],
  [4, "UNSUBSCRIBE without a filter", "a2020001", "82 MQTT-3.10.3-2 v4"],
  [4, "UNSUBSCRIBE with U+0000", "a205 0001 0001 00", "81 MQTT-1.5.4-2 v4"],
  [5, "UNSUBSCRIBE with a subscription identifier", "a208 0001 020b01 0001 61", "82 MQTT-2.2.2 v5"],
  // the rest
  [4, "PINGREQ with a body", "c00100", "81 v4"],
  [4, "DISCONNECT with a body before 5", "e00100", "81 v4"],
  [5, "DISCONNECT with an unknown code", "e00105", "82 MQTT-3.14.2-1 v5"],
  [5, "DISCONNECT with a server reference", "e006 00 04 1c000161", "82 MQTT-2.2.2 v5"],
  [5, "AUTH success from a client", "f000", "82 MQTT-3.15.2-1 v5"],
  [5, "AUTH with an unknown code", "f0025500", "82 MQTT-3.15.2-1 v5"],
  [5, "AUTH without a method", "f0021800", "82 v5"]
]

describe("malformed packets", () => {
  it.each(vectors)("version %i: %s", (version, _what, hex, expected) => {
    expect(refusal(version, hex)).toBe(expected)
  })

  it("refuses a packet over the maximum size as soon as its length is known", () => {
    expect(refusal(4, "30c801", 200)).toBe("95 MQTT-3.2.2-15 v4")
    expect(refusal(4, "30c401", 200)).toBe("accepted")
    const { parser, errors } = record(200)
    parser.push(connectBytes(4))
    for (const byte of [0x30, 0xc9, 0x01]) parser.push(Buffer.of(byte))
    expect(errors[0]?.reasonCode).toBe(0x95)
    expect(parser.heldBytes).toBe(0)
  })

  it("refuses a wrong first byte before the packet is whole", () => {
    expect(refusal(0, "3005")).toBe("82 MQTT-3.1.0-1 v0")
    expect(refusal(4, "41")).toBe("81 MQTT-2.2.2-2 v4")
    expect(refusal(4, "307f")).toBe("accepted")
  })
})

describe("what only looks wrong", () => {
  const accepted = (version: ProtocolVersion | 0, hex: string) => {
    const { parser, seen, errors } = record()
    if (version !== 0) parser.push(connectBytes(version))
    parser.push(Buffer.from(hex.replaceAll(" ", ""), "hex"))
    expect(errors).toEqual([])
    return seen.at(-1)
  }

  it("3.1: a user name that the payload lacks", () => {
    expect(accepted(0, "100f 00064d5149736470 03 c2 0000 0001 61")).toMatchObject({
      packet: { username: undefined, password: undefined }
    })
  })

  it("3.1: DUP of a repeated SUBSCRIBE, PUBREL", () => {
    expect(accepted(3, "8a06 0001 0001 61 00")).toMatchObject({ kind: "subscribe" })
    expect(accepted(3, "6a020007")).toMatchObject({ kind: "pubrel", packetId: 7 })
  })

  it("5: a password without a user name", () => {
    expect(accepted(0, "1011 00044d515454 05 42 0000 00 0001 61 0001 70")).toMatchObject({
      packet: { username: undefined, password: Buffer.from("p") }
    })
  })

  it("5: no client identifier, clean start or not [MQTT5-3.1.3-6]", () => {
    expect(accepted(0, "100d 00044d515454 05 00 0000 00 0000")).toMatchObject({ packet: { clientId: "" } })
  })

  it("U+FEFF is a character, not a mark to be dropped [MQTT5-1.5.4-3]", () => {
    expect(accepted(4, "30 06 0004 efbbbf61")).toMatchObject({ topic: "\ufeffa" })
  })

  it("a topic alias alone, the topic left out", () => {
    expect(accepted(5, "30 07 0000 03230005 78")).toMatchObject({ topic: "", topicAlias: 5, payload: Buffer.from("x") })
  })

  it("before 5, a remaining length with more bytes than needed", () => {
    expect(accepted(4, "c08000")).toMatchObject({ kind: "pingreq" })
  })
})

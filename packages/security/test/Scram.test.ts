import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { pbkdf2Sync } from "node:crypto"
import { saslPrep } from "../src/core/SaslPrep.js"
import {
  challenge,
  clientFinal,
  clientFirst,
  keysOf,
  parseClientFirst,
  parseServerFirst,
  type ScramHash,
  type ScramKeys,
  verifyClientFinal
} from "../src/core/Scram.js"

const salted = (hash: ScramHash, password: string, salt: Uint8Array, iterations: number) =>
  pbkdf2Sync(password, salt, iterations, { sha1: 20, sha256: 32, sha512: 64 }[hash], hash)

const keys = (hash: ScramHash, password: string, salt: Uint8Array, iterations: number): ScramKeys => ({
  salt,
  iterations,
  ...keysOf(hash, salted(hash, password, salt, iterations))
})

interface Vector {
  readonly hash: ScramHash
  readonly clientNonce: string
  readonly serverNonce: string
  readonly salt: string
  readonly messages: readonly [string, string, string, string]
}

/** RFC 5802 section 5 and RFC 7677 section 3: user `user`, password `pencil`. */
const vectors: ReadonlyArray<Vector> = [
  {
    hash: "sha1",
    clientNonce: "fyko+d2lbbFgONRv9qkxdawL",
    serverNonce: "3rfcNHYJY1ZVvWVs7j",
    salt: "QSXCR+Q6sek8bf92",
    messages: [
      "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
      "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
      "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
      "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="
    ]
  },
  {
    hash: "sha256",
    clientNonce: "rOprNGfwEbeRWgbNEkqO",
    serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
    messages: [
      "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
      "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    ]
  }
]

const opened = (message: string) => {
  const first = parseClientFirst(message)
  if ("failed" in first) throw new Error(first.failed)
  return first
}

describe("Scram", () => {
  for (const { clientNonce, hash, messages, salt, serverNonce } of vectors) {
    it(`speaks the conversation of the RFC with ${hash}, on both sides`, () => {
      const saltBytes = Buffer.from(salt, "base64")
      const stored = keys(hash, "pencil", saltBytes, 4096)
      expect(clientFirst("user", clientNonce)).toBe(messages[0])
      const asked = challenge(opened(messages[0]), stored, serverNonce)
      expect(asked.message).toBe(messages[1])
      const answer = clientFinal(hash, messages[0], asked.message, salted(hash, "pencil", saltBytes, 4096))
      expect(answer).toEqual({ message: messages[2], expected: messages[3] })
      expect(verifyClientFinal(hash, asked, stored, messages[2])).toEqual({ message: messages[3] })
    })
  }

  const salt = Buffer.from("0123456789abcdef")
  const stored = keys("sha256", "right", salt, 4096)
  const first = clientFirst("anna", "clientnonce")
  const asked = challenge(opened(first), stored, "servernonce")
  const good = clientFinal("sha256", first, asked.message, salted("sha256", "right", salt, 4096)).message

  it("refuses a wrong password, a changed message and a foreign nonce", () => {
    const wrong = clientFinal("sha256", first, asked.message, salted("sha256", "wrong", salt, 4096)).message
    const check = (message: string) => verifyClientFinal("sha256", asked, stored, message)
    expect(check(good)).toHaveProperty("message")
    expect(check(wrong)).toEqual({ failed: "invalid-proof" })
    expect(check(good.replace("clientnonce", "clientnoncf"))).toEqual({ failed: "other-error" })
    expect(check(good.replace("c=biws", "c=eSws"))).toEqual({ failed: "channel-bindings-dont-match" })
    expect(check(good.replace(",p=", ",x=1,p="))).toEqual({ failed: "invalid-proof" })
    expect(check(good.slice(0, -8))).toEqual({ failed: "invalid-proof" })
    expect(check("c=biws")).toEqual({ failed: "invalid-encoding" })
    expect(check(`${good}!`)).toEqual({ failed: "invalid-encoding" })
  })

  it("a message for one user does not open another", () => {
    const other = challenge(opened(clientFirst("bert", "clientnonce")), stored, "servernonce")
    expect(verifyClientFinal("sha256", other, stored, good)).toEqual({ failed: "invalid-proof" })
  })

  it("names what is wrong with a first message", () => {
    const failures = {
      "p=tls-unique,,n=a,r=12345678": "server-does-not-support-channel-binding",
      "n,,m=x,n=a,r=12345678": "extensions-not-supported",
      "n,,n=a=b,r=12345678": "invalid-encoding",
      "n,,n=,r=12345678": "invalid-encoding",
      "n,,n=a,r=short": "invalid-encoding",
      "n,,n=a": "invalid-encoding",
      "n,a=,n=a,r=12345678": "invalid-encoding",
      "x,,n=a,r=12345678": "invalid-encoding",
      "": "invalid-encoding"
    }
    for (const [message, failed] of Object.entries(failures)) expect(parseClientFirst(message), message).toEqual({ failed })
    expect(parseClientFirst("y,a=c=2Cd,n=a=3Db,r=12345678,x=1")).toEqual({
      gs2Header: "y,a=c=2Cd,",
      user: "a=b",
      authorizationIdentity: "c,d",
      nonce: "12345678",
      bare: "n=a=3Db,r=12345678,x=1"
    })
  })

  it("a client refuses a challenge that is not its own, too cheap or endless", () => {
    const refused = [
      "r=other123s,s=AAAA,i=4096",
      "r=mine,s=AAAA,i=4096",
      "r=mine1,s=AAAA,i=1",
      "r=mine1,s=AAAA,i=9999999",
      "r=mine1,s=,i=4096",
      "r=mine1,s=AAAA,i=x",
      "e=other-error"
    ]
    for (const message of refused) expect(parseServerFirst("mine", message), message).toHaveProperty("failed")
    expect(parseServerFirst("mine", "r=mine1,s=AAAA,i=4096")).toMatchObject({ nonce: "mine1", iterations: 4096 })
  })

  it("survives any text, and lets no random text in", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary" }), FastCheck.nat(), (text, at) => {
        parseClientFirst(text)
        parseServerFirst("n", text)
        const mutated = good.slice(0, at % good.length) + text + good.slice(at % good.length)
        const result = verifyClientFinal("sha256", asked, stored, mutated)
        if (text !== "") expect(result).toHaveProperty("failed")
      })
    )
  })

  it("any user name comes through", () => {
    const user = FastCheck.string({ unit: "binary", minLength: 1, maxLength: 50 })
    FastCheck.assert(
      FastCheck.property(user, (name) => {
        expect(parseClientFirst(clientFirst(name, "12345678"))).toMatchObject({ user: name })
      })
    )
  })
})

describe("saslPrep", () => {
  it("prepares the examples of RFC 4013 section 3", () => {
    expect(saslPrep("I\u00adX")).toBe("IX")
    expect(saslPrep("user")).toBe("user")
    expect(saslPrep("USER")).toBe("USER")
    expect(saslPrep("\u00aa")).toBe("a")
    expect(saslPrep("\u2168")).toBe("IX")
    expect(saslPrep("\u0007")).toBeUndefined()
    expect(saslPrep("a\u00a0b")).toBe("a b")
    expect(saslPrep("\u00ad")).toBeUndefined()
    expect(saslPrep("\ue000")).toBeUndefined()
    expect(saslPrep("\ud800")).toBeUndefined()
    expect(saslPrep("pässwörd 🔑")).toBe("pässwörd 🔑")
  })
})

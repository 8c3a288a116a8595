import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FastCheck from "fast-check"
import { formatScrypt, parseScrypt } from "../src/core/PhcString.js"
import { keysOf } from "../src/core/Scram.js"
import { createHook } from "node:async_hooks"
import * as PasswordHash from "../src/PasswordHash.js"

const bytes = (text: string) => new TextEncoder().encode(text)

const cheap = { costLog2: 4 }

describe("PasswordHash", () => {
  it.live("hashes and verifies", () =>
    Effect.gen(function* () {
      const passwords = PasswordHash.make(cheap)
      const hash = yield* passwords.hash(bytes("right"))
      expect(hash).toMatch(/^\$scrypt\$ln=4,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
      expect(yield* passwords.hash(bytes("right"))).not.toBe(hash)
      expect(yield* passwords.verify(bytes("wrong"), hash)).toBe(false)
      expect(yield* passwords.verify(bytes("right"), hash)).toBe(true)
      // Known by now; a wrong one is still wrong.
      expect(yield* passwords.verify(bytes("right"), hash)).toBe(true)
      expect(yield* passwords.verify(bytes("wrong"), hash)).toBe(false)
      expect(yield* passwords.verify(bytes(""), hash)).toBe(false)
      expect(yield* passwords.verifyNobody(bytes("right"))).toBe(false)
      expect(yield* passwords.verify(bytes("right"), "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA")).toBe(false)
    })
  )

  it.live("verifies a hash made elsewhere: RFC 7914 section 12", () =>
    Effect.gen(function* () {
      const known = Buffer.from(
        "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
        "hex"
      )
      const text = formatScrypt({ costLog2: 10, blockSize: 8, parallelism: 16, salt: bytes("NaCl"), hash: known })
      // A salt of four bytes is below what is let in from storage.
      expect(parseScrypt(text)).toBeUndefined()
      const passwords = PasswordHash.make(cheap)
      const long = Buffer.from(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
        "hex"
      )
      const second = formatScrypt({ costLog2: 14, blockSize: 8, parallelism: 1, salt: bytes("SodiumChloride"), hash: long })
      expect(yield* passwords.verify(bytes("pleaseletmein"), second)).toBe(true)
      expect(yield* passwords.verify(bytes("pleaseletmeout"), second)).toBe(false)
    })
  )

  it.live("makes SCRAM keys, and checks a password that was sent against them", () =>
    Effect.gen(function* () {
      const passwords = PasswordHash.make(cheap)
      const verifier = yield* passwords.scramVerifier(bytes("pencil"))
      if (verifier === undefined) throw new Error("no verifier")
      const salted = yield* PasswordHash.saltedPassword("pencil", Buffer.from(verifier.salt, "base64"), verifier.iterations)
      expect(Buffer.from(keysOf("sha256", salted).storedKey).toString("base64")).toBe(verifier.storedKey)
      expect(yield* passwords.verifyScram(bytes("pencil"), verifier)).toBe(true)
      expect(yield* passwords.verifyScram(bytes("pen"), verifier)).toBe(false)
      expect(yield* passwords.scramVerifier(Uint8Array.of(0xff))).toBeUndefined()
      expect(yield* passwords.verifyScram(Uint8Array.of(0xff), verifier)).toBe(false)
    })
  )

  it.live("computes a few at once, lets a bounded number wait and refuses the rest", () =>
    Effect.gen(function* () {
      const passwords = PasswordHash.make({ costLog2: 10, concurrencyMax: 1, waitingMax: 3 })
      const exits = yield* Effect.all(
        Array.from({ length: 10 }, () => Effect.exit(passwords.hash(bytes("x")))),
        { concurrency: "unbounded" }
      )
      expect(exits.filter(Exit.isSuccess)).toHaveLength(4)
      // What was refused left no trace, and neither does what is interrupted while it waits.
      const fibers = yield* Effect.all(Array.from({ length: 4 }, () => Effect.fork(passwords.hash(bytes("x")))))
      yield* Effect.yieldNow()
      yield* Fiber.interruptAll(fibers)
      expect(yield* passwords.hash(bytes("x"))).toContain("$scrypt$")
    })
  )

  it.live("begins no further hash while the ones that run are not done, whoever stops waiting for them", () =>
    Effect.gen(function* () {
      let begun = 0
      const hook = createHook({
        init: (_, type) => {
          if (type === "SCRYPTREQUEST") begun++
        }
      }).enable()
      const passwords = PasswordHash.make({ costLog2: 15, concurrencyMax: 2 })
      const fibers = yield* Effect.all(Array.from({ length: 100 }, () => Effect.fork(passwords.hash(bytes("x")))))
      // As a storm of logins ends: the first to come has waited longest, and is the first to give up.
      for (const fiber of fibers) {
        yield* Effect.yieldNow()
        yield* Effect.yieldNow()
        yield* Fiber.interruptFork(fiber)
      }
      yield* Fiber.awaitAll(fibers)
      hook.disable()
      expect(begun).toBe(2)
      expect(yield* passwords.hash(bytes("x"))).toContain("$scrypt$")
    })
  )

  it("a hash text comes back as it went, and parameters beyond the bounds do not", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.integer({ min: 1, max: 16 }),
        FastCheck.integer({ min: 1, max: 16 }),
        FastCheck.uint8Array({ minLength: 8, maxLength: 64 }),
        FastCheck.uint8Array({ minLength: 16, maxLength: 64 }),
        (costLog2, parallelism, salt, hash) => {
          const parsed = parseScrypt(formatScrypt({ costLog2, blockSize: 8, parallelism, salt, hash }))
          expect(parsed).toMatchObject({ costLog2, blockSize: 8, parallelism })
          expect(Buffer.compare(Buffer.from(parsed?.salt ?? []), Buffer.from(salt))).toBe(0)
          expect(Buffer.compare(Buffer.from(parsed?.hash ?? []), Buffer.from(hash))).toBe(0)
        }
      )
    )
    const tail = "$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g"
    expect(parseScrypt(`$scrypt$ln=14,r=8,p=1${tail}`)).toBeDefined()
    for (const parameters of ["ln=25,r=8,p=1", "ln=19,r=8,p=1", "ln=0,r=8,p=1", "ln=14,r=0,p=1", "ln=14,r=8,p=17", "ln=14,r=8"]) {
      expect(parseScrypt(`$scrypt$${parameters}${tail}`), parameters).toBeUndefined()
    }
  })
})

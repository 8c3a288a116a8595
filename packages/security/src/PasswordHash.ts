/**
 * Hashes and checks passwords: scrypt for those that are sent, the keys of SCRAM-SHA-256 for those that are not.
 *
 * Both are slow on purpose and run on the thread pool that also serves the disk. So only a few run at once, a bounded number
 * waits, and who comes then is told to come again (`PasswordHashBusy`): a storm of logins slows logins, and nothing else.
 *
 * A password that was right a moment ago is known again by a keyed digest (key: random, never leaves the process), so that a
 * fleet that reconnects does not queue for scrypt. A wrong password always costs the full price.
 */
import type { ScramVerifier } from "@effectmq/schemas/metadata/User"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHmac, pbkdf2, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto"
import { promisify } from "node:util"
import { formatScrypt, memoryBytesMax, memoryBytesOf, parseScrypt, type ScryptHash } from "./core/PhcString.js"
import { type Place, WaitingLine } from "./core/WaitingLine.js"
import { saslPrep } from "./core/SaslPrep.js"
import { keysOf } from "./core/Scram.js"

/** Too many passwords wait to be hashed. */
export class PasswordHashBusy extends Data.TaggedError("PasswordHashBusy")<{ readonly waitingMax: number }> {
  override get message() {
    return `${this.waitingMax} passwords wait to be checked`
  }
}

export interface PasswordHashOptions {
  /** Hashes computed at once; default 2, of the four threads of the pool. */
  readonly concurrencyMax?: number
  /** Requests that may wait; default 5000. */
  readonly waitingMax?: number
  /** Cost of new hashes: N = 2^costLog2; default 14, with r = 8 16 MiB and some 40 ms. */
  readonly costLog2?: number
  /** PBKDF2 iterations of new SCRAM keys; default 4096, the least that RFC 7677 allows. */
  readonly scramIterations?: number
  /** Right passwords that are remembered; default 20,000; 0: none. */
  readonly rememberedMax?: number
}

export interface PasswordHashService {
  /** PHC string of the password, with a fresh salt. */
  hash(password: Uint8Array): Effect.Effect<string, PasswordHashBusy>
  /** False for a wrong password and for a text that is no scrypt hash within bounds; both take as long as a right one. */
  verify(password: Uint8Array, hash: string): Effect.Effect<boolean, PasswordHashBusy>
  /** Takes as long as `verify` does: for a user that does not exist. */
  verifyNobody(password: Uint8Array): Effect.Effect<false, PasswordHashBusy>
  /** SCRAM-SHA-256 keys; undefined for a password that SASLprep refuses, for instance one that is not text. */
  scramVerifier(password: Uint8Array): Effect.Effect<ScramVerifier | undefined, PasswordHashBusy>
  /** Checks a password that was sent against SCRAM keys, for a user that has nothing else. */
  verifyScram(password: Uint8Array, verifier: ScramVerifier): Effect.Effect<boolean, PasswordHashBusy>
}

export class PasswordHash extends Context.Tag("@effectmq/security/PasswordHash")<PasswordHash, PasswordHashService>() {}

const saltBytes = 16
const hashBytes = 32
const blockSize = 8
const parallelism = 1

const scryptAsync = promisify<Uint8Array, Uint8Array, number, ScryptOptions, Buffer>(scrypt)
const pbkdf2Async = promisify(pbkdf2)

const compute = (password: Uint8Array, parameters: Omit<ScryptHash, "hash">, length: number): Effect.Effect<Buffer> =>
  Effect.promise(() =>
    scryptAsync(password, parameters.salt, length, {
      N: 2 ** parameters.costLog2,
      r: parameters.blockSize,
      p: parameters.parallelism,
      maxmem: 2 * memoryBytesOf(parameters) + 1024 * 1024
    })
  )

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The password as SCRAM uses it; undefined where it is no text that SASLprep lets through. */
const preparedText = (password: Uint8Array): string | undefined => {
  try {
    return saslPrep(utf8.decode(password))
  } catch {
    return undefined
  }
}

/** PBKDF2 of a prepared password: the slow part of SCRAM-SHA-256, for servers and clients. */
export const saltedPassword = (prepared: string, salt: Uint8Array, iterations: number): Effect.Effect<Uint8Array> =>
  Effect.promise(() => pbkdf2Async(prepared, salt, iterations, hashBytes, "sha256"))

/** Right passwords of late: digest by hash string; emptied when full. */
class Remembered {
  private readonly key = randomBytes(32)
  private readonly digestByHash = new Map<string, Buffer>()

  constructor(private readonly entriesMax: number) {}

  private digest(password: Uint8Array): Buffer {
    return createHmac("sha256", this.key).update(password).digest()
  }

  knows(password: Uint8Array, hash: string): boolean {
    const digest = this.digestByHash.get(hash)
    return digest !== undefined && timingSafeEqual(digest, this.digest(password))
  }

  remember(password: Uint8Array, hash: string): void {
    if (this.entriesMax === 0) return
    if (this.digestByHash.size >= this.entriesMax) this.digestByHash.clear()
    this.digestByHash.set(hash, this.digest(password))
  }
}

export const make = (options: PasswordHashOptions = {}): PasswordHashService => {
  const concurrencyMax = options.concurrencyMax ?? 2
  const waitingMax = options.waitingMax ?? 5000
  const costLog2 = options.costLog2 ?? 14
  const iterations = options.scramIterations ?? 4096
  if (memoryBytesOf({ costLog2, blockSize }) > memoryBytesMax) throw new Error(`costLog2 ${costLog2} takes too much memory`)
  const remembered = new Remembered(options.rememberedMax ?? 20_000)
  // Not a semaphore of Effect's: with each permit that is given back that wakes all who wait for one.
  const line = new WaitingLine(concurrencyMax, waitingMax)
  const nobody = { costLog2, blockSize, parallelism, salt: randomBytes(saltBytes) }

  const bounded = <A>(work: Effect.Effect<A>): Effect.Effect<A, PasswordHashBusy> =>
    Effect.suspend(() => {
      if (line.isFull) return new PasswordHashBusy({ waitingMax })
      let begin = () => {}
      const place: Place = { state: "new", begin: () => begin() }
      const turn = Effect.async<void>((resume) => {
        begin = () => resume(Effect.void)
        line.enter(place)
      })
      return Effect.ensuring(
        Effect.zipRight(turn, Effect.uninterruptible(work)),
        Effect.sync(() => line.leave(place))
      )
    })

  const verifyNobody = (password: Uint8Array) => Effect.as(bounded(compute(password, nobody, hashBytes)), false as const)

  return {
    hash: (password) =>
      Effect.suspend(() => {
        const parameters = { costLog2, blockSize, parallelism, salt: randomBytes(saltBytes) }
        return Effect.map(bounded(compute(password, parameters, hashBytes)), (hash) => formatScrypt({ ...parameters, hash }))
      }),
    verify: (password, text) =>
      Effect.suspend(() => {
        const stored = parseScrypt(text)
        if (stored === undefined) return verifyNobody(password)
        if (remembered.knows(password, text)) return Effect.succeed(true)
        return Effect.map(bounded(compute(password, stored, stored.hash.length)), (hash) => {
          const right = timingSafeEqual(hash, stored.hash)
          if (right) remembered.remember(password, text)
          return right
        })
      }),
    verifyNobody,
    scramVerifier: (password) =>
      Effect.suspend(() => {
        const prepared = preparedText(password)
        if (prepared === undefined) return Effect.succeed(undefined)
        const salt = randomBytes(saltBytes)
        return Effect.map(bounded(saltedPassword(prepared, salt, iterations)), (salted) => {
          const { serverKey, storedKey } = keysOf("sha256", salted)
          const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")
          return { salt: base64(salt), iterations, storedKey: base64(storedKey), serverKey: base64(serverKey) }
        })
      }),
    verifyScram: (password, verifier) =>
      Effect.suspend(() => {
        const prepared = preparedText(password)
        if (prepared === undefined) return Effect.succeed(false)
        const salt = Buffer.from(verifier.salt, "base64")
        const expected = Buffer.from(verifier.storedKey, "base64")
        return Effect.map(bounded(saltedPassword(prepared, salt, verifier.iterations)), (salted) => {
          const { storedKey } = keysOf("sha256", salted)
          return storedKey.length === expected.length && timingSafeEqual(storedKey, expected)
        })
      })
  }
}

export const layer = (options: PasswordHashOptions = {}): Layer.Layer<PasswordHash> =>
  Layer.sync(PasswordHash, () => make(options))

/**
 * What a process takes from its host without asking for a port: timers, clocks, randomness. While replaced, all of it comes from
 * the simulated process whose task is running.
 *
 * Besides the globals these are the random functions of `node:crypto`, `process.hrtime`, the default `Random` of Effect and its count of
 * fibers, whose numbers travel between nodes with interruptions. Hashes and ciphers are as they are.
 */
import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import process from "node:process"
import * as DefaultServices from "effect/DefaultServices"
import { globalValue } from "effect/GlobalValue"
import * as MutableRef from "effect/MutableRef"
import * as Random from "effect/Random"
import { VirtualTimer } from "./TimerHeap.js"

/** Those of the real event loop. */
export const real = {
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  now: Date.now,
  performanceNow: performance.now,
  random: Math.random,
  hrtime: process.hrtime.bigint
}

const realCrypto = {
  randomBytes: crypto.randomBytes,
  randomUUID: crypto.randomUUID,
  randomInt: crypto.randomInt,
  randomFillSync: crypto.randomFillSync
}

/** The process whose task is running. */
export interface Running {
  immediate(task: () => void): VirtualTimer
  timer(task: () => void, delayMs: number, repeats: boolean): VirtualTimer
  /** Ms since 1970 by its wall clock, with fractions. */
  wallMs(): number
  /** Ms since it began, with fractions; never goes back. */
  uptimeMs(): number
  readonly random: () => number
  /** Effect's. */
  readonly effectRandom: Random.Random
}

type Values = ReadonlyArray<unknown>
type Callback = (...values: Values) => void

const timersOf = (running: () => Running) => {
  const timeout =
    (repeats: boolean) =>
    (task: Callback, delayMs = 0, ...values: Values) =>
      running().timer(values.length === 0 ? task : () => task(...values), delayMs, repeats)
  const cancel = (timer: unknown) => {
    if (timer instanceof VirtualTimer) timer.cancelled = true
  }
  return {
    setImmediate: (task: Callback, ...values: Values) => running().immediate(values.length === 0 ? task : () => task(...values)),
    clearImmediate: cancel,
    setTimeout: timeout(false),
    clearTimeout: cancel,
    setInterval: timeout(true),
    clearInterval: cancel
  }
}

const cryptoOf = (running: () => Running) => {
  const fill = <A extends NodeJS.ArrayBufferView>(view: A): A => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    const { random } = running()
    for (let index = 0; index < bytes.length; index++) bytes[index] = random() * 256
    return view
  }
  const randomBytes = (size: number, callback?: (error: null, bytes: Buffer) => void) => {
    const bytes = fill(Buffer.alloc(size))
    if (callback === undefined) return bytes
    running().immediate(() => callback(null, bytes))
    return undefined
  }
  const randomUUID = () => {
    const bytes = fill(Buffer.alloc(16))
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
    return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
  }
  const randomInt = (first: number, second?: number) => {
    const [min, max] = second === undefined ? [0, first] : [first, second]
    return min + Math.floor(running().random() * (max - min))
  }
  return { randomBytes, randomUUID, randomInt, randomFillSync: fill }
}

/** Each method and effect is that of the running process. */
const effectRandomOf = (running: () => Running): Random.Random =>
  new Proxy({} as Random.Random, {
    get: (_, key) => {
      const random = running().effectRandom
      const value: unknown = Reflect.get(random, key, random)
      return typeof value === "function" ? value.bind(random) : value
    }
  })

/** Effect's: the number of the next fiber. */
const nextFiberId = globalValue(Symbol.for("effect/Fiber/Id/_fiberCounter"), () => MutableRef.make(0))
/** Effect's: fibers that nobody else keeps, until they end. Those of a simulated process that is killed never do. */
const fiberRoots = (): Set<unknown> =>
  globalValue(Symbol.for("effect/FiberScope/Global"), (): { readonly roots: Set<unknown> } => {
    throw new Error("this release of Effect keeps its fibers elsewhere")
  }).roots

export const isReplaced = (): boolean => globalThis.setImmediate !== real.setImmediate

/** Answers how to give everything back. */
export const replace = (running: () => Running): (() => void) => {
  if (isReplaced()) throw new Error("another simulation has taken the host's place already")
  const { now, performanceNow, random, hrtime, ...timers } = real
  const services = DefaultServices.liveServices.unsafeMap
  const realRandom: unknown = services.get(Random.Random.key)
  Object.assign(globalThis, timersOf(running))
  Object.assign(crypto, cryptoOf(running))
  Object.assign(globalThis.crypto, { randomUUID: crypto.randomUUID, getRandomValues: crypto.randomFillSync })
  syncBuiltinESMExports()
  Date.now = () => Math.floor(running().wallMs())
  performance.now = () => running().uptimeMs()
  Math.random = () => running().random()
  process.hrtime.bigint = () => BigInt(Math.round(running().uptimeMs() * 1e6))
  services.set(Random.Random.key, effectRandomOf(running))
  const fibersBefore = MutableRef.get(nextFiberId)
  MutableRef.set(nextFiberId, 0)
  const roots = fiberRoots()
  const rootsBefore = new Set(roots)
  return () => {
    for (const root of roots) if (!rootsBefore.has(root)) roots.delete(root)
    MutableRef.update(nextFiberId, (fibers) => Math.max(fibers, fibersBefore))
    Object.assign(globalThis, timers)
    Object.assign(crypto, realCrypto)
    for (const name of ["randomUUID", "getRandomValues"] as const) Reflect.deleteProperty(globalThis.crypto, name)
    syncBuiltinESMExports()
    Date.now = now
    performance.now = performanceNow
    Math.random = random
    process.hrtime.bigint = hrtime
    services.set(Random.Random.key, realRandom)
  }
}

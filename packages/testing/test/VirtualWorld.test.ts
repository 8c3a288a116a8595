import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { describe, expect, it } from "vitest"
import type { VirtualProcess } from "../src/VirtualProcess.js"
import { VirtualWorld } from "../src/VirtualWorld.js"

/** A process that says `name` to the trace now and then. */
const chatter = (world: VirtualWorld, one: VirtualProcess, everyMs: number) =>
  one.post(() => {
    setInterval(() => {
      world.note(`${one.name} ${Math.floor(performance.now())}`)
      setImmediate(() => void Promise.resolve().then(() => world.note(`${one.name} then`)))
    }, everyMs)
  })

const said = (world: VirtualWorld, name: string) => world.trace.filter((line) => line.slice(10).startsWith(name))

describe("VirtualWorld", () => {
  it("does the same again for the same seed, and something else for another", async () => {
    const run = async (seed: number) => {
      const world = new VirtualWorld({ seed })
      await world.run(async () => {
        for (const name of ["a", "b", "c"]) chatter(world, world.process(name), 10)
        await world.sleep(500)
      })
      return { hash: world.traceHash, trace: world.trace }
    }
    const first = await run(1)
    expect(await run(1)).toEqual(first)
    expect((await run(2)).hash).not.toBe(first.hash)
    // Who goes first is drawn, and every order comes up.
    const order = first.trace.map((line) => line.slice(10)).filter((line) => !line.includes("then"))
    const firsts = order.filter((_, index) => index % 3 === 0).map((line) => line[0])
    expect(new Set(firsts)).toEqual(new Set(["a", "b", "c"]))
  })

  it("numbers fibers anew in each run, since the numbers travel with interruptions, and never twice outside", async () => {
    const fiberId = Effect.map(Effect.fiberId, (id) => (id._tag === "Runtime" ? id.id : -1))
    const run = async () => {
      const world = new VirtualWorld({ seed: 1 })
      const one = world.process("one")
      return world.run(async () => [await one.run(fiberId), await one.run(fiberId)])
    }
    const before = Effect.runSync(fiberId)
    const first = await run()
    expect(await run()).toEqual(first)
    expect(Effect.runSync(fiberId)).toBeGreaterThan(before)
  })

  it("leaves none of its fibers behind, ended or not, and takes no others away", async () => {
    const roots = () => Effect.runSync(Fiber.roots)
    const outside = Effect.runFork(Effect.never)
    const world = new VirtualWorld({ seed: 1 })
    const [killed, alive] = [world.process("killed"), world.process("alive")]
    await world.run(async () => {
      for (const process of [killed, alive]) void process.run(Effect.never)
      await world.sleep(10)
      expect(roots().length).toBeGreaterThan(2)
      killed.kill()
    })
    expect(roots().filter((fiber) => fiber === outside)).toHaveLength(1)
    expect(roots().filter((fiber) => fiber !== outside).length).toBeLessThan(2)
    Effect.runFork(Fiber.interrupt(outside))
  })

  it("keeps what a process scheduled its own: kill drops it, revive begins anew, pause lets it wait", async () => {
    const world = new VirtualWorld({ seed: 1 })
    await world.run(async () => {
      const a = world.process("a")
      const b = world.process("b")
      chatter(world, a, 10)
      chatter(world, b, 10)
      await world.sleep(25)
      a.kill()
      expect(said(world, "a").length).toBe(4)
      a.post(() => world.note("a speaks from the grave"))
      await world.sleep(20)
      expect(said(world, "a").length).toBe(4)
      expect(said(world, "b").length).toBe(8)
      a.revive()
      chatter(world, a, 10)
      await world.sleep(15)
      expect(said(world, "a 10").length).toBe(2)
      b.pause()
      const before = said(world, "b").length
      await world.sleep(50)
      expect(said(world, "b").length).toBe(before)
      b.resume()
      await world.sleep(1)
      expect(said(world, "b").length).toBeGreaterThan(before)
    })
  })

  it("tells a driver that it waited for a promise of a process, in whose name it goes on since", async () => {
    const world = new VirtualWorld({ seed: 1 })
    const waiting = world.run(async () => {
      const a = world.process("a")
      await new Promise<void>((resolve) => a.post(resolve))
      await world.sleep(10)
      a.killAfter(1, () => undefined)
      a.post(() => undefined)
      await world.sleep(10)
    })
    await expect(waiting).rejects.toThrow("the driver waits in the name of a, which was killed")
    const other = new VirtualWorld({ seed: 1 })
    await other.run(async () => {
      const a = other.process("a")
      await a.run(Effect.promise(() => new Promise<void>((resolve) => a.post(resolve))))
      a.kill()
      await other.sleep(10)
    })
  })

  it("kills between any two tasks, and the rest of a task that killed its own process comes to nothing", async () => {
    const world = new VirtualWorld({ seed: 1 })
    await world.run(async () => {
      const a = world.process("a")
      let steps = 0
      let killed = 0
      const walk = () => {
        steps++
        setImmediate(walk)
      }
      a.post(walk)
      a.killAfter(7, () => {
        killed++
        expect(world.current).toBe(world.root)
      })
      await world.sleep(1)
      expect([steps, killed, a.alive]).toEqual([7, 1, false])
      a.revive()
      a.post(() => {
        a.kill()
        setTimeout(() => steps++, 1)
        void Promise.resolve().then(() => setImmediate(() => steps++))
      })
      await world.sleep(10)
      expect(steps).toBe(7)
    })
  })

  it("gives each process clocks of its own", async () => {
    const world = new VirtualWorld({ seed: 1, startMs: 1_000_000 })
    await world.run(async () => {
      const a = world.process("a")
      a.jumpClock(-5000)
      a.setRate(2)
      const read = Effect.gen(function* () {
        yield* Effect.sleep(100)
        return [Date.now(), Math.round(performance.now()), yield* Clock.currentTimeMillis, world.nowMs]
      })
      // A hundred of its milliseconds are fifty of the world's.
      expect(await a.run(read)).toEqual(Exit.succeed([995_100, 100, 995_100, 50]))
      const before = Date.now()
      expect(before).toBe(1_000_050)
      a.setRate(1)
      const nanos = await a.run(Effect.sync(() => process.hrtime.bigint()))
      expect(nanos).toEqual(Exit.succeed(100_000_000n))
      a.kill()
      await world.sleep(1000)
      a.revive()
      expect(await a.run(Effect.sync(() => performance.now()))).toEqual(Exit.succeed(0))
      expect(await a.run(Effect.sync(() => Date.now()))).toEqual(Exit.succeed(996_100))
    })
  })

  it("gives each process randomness of its own, which repeats with the seed", async () => {
    const draw = async (seed: number) => {
      const world = new VirtualWorld({ seed })
      return world.run(async () => {
        const one = Effect.gen(function* () {
          return [Math.random(), randomUUID(), crypto.randomUUID(), yield* Random.next, yield* Random.nextIntBetween(0, 1000)]
        })
        const a = await world.process("a").run(one)
        const b = await world.process("b").run(one)
        return [...Exit.getOrElse(a, () => []), ...Exit.getOrElse(b, () => [])]
      })
    }
    const first = await draw(1)
    expect(await draw(1)).toEqual(first)
    expect(new Set([...first, ...(await draw(2))]).size).toBe(20)
    const real = await Effect.runPromise(Random.next)
    expect(real).not.toBe(await Effect.runPromise(Random.next))
  })

  it("builds Layers in a process; a stop releases them, a kill does not", async () => {
    class Thing extends Context.Tag("Thing")<Thing, { readonly bornMs: number }>() {}
    const world = new VirtualWorld({ seed: 1, startMs: 0 })
    const seen: Array<string> = []
    const thing = Layer.scoped(
      Thing,
      Effect.gen(function* () {
        yield* Effect.logWarning("making it")
        yield* Effect.sleep(10)
        yield* Effect.addFinalizer(() => Effect.sync(() => seen.push("released")))
        return { bornMs: Date.now() }
      })
    )
    await world.run(async () => {
      const a = world.process("a")
      const started = await a.start(thing)
      expect(Exit.map(started, (context) => Context.get(context, Thing))).toEqual(Exit.succeed({ bornMs: 10 }))
      expect(said(world, "a: WARN making it").length).toBe(1)
      expect(Exit.isSuccess(await a.stop())).toBe(true)
      expect(seen).toEqual(["released"])
      expect(a.alive).toBe(false)
      await a.start(thing)
      const asked = a.run(Effect.sleep(1000))
      a.kill()
      expect(Exit.isFailure(await asked)).toBe(true)
      expect(Exit.isFailure(await a.run(Effect.void))).toBe(true)
      expect(seen).toEqual(["released"])
    })
  })

  it("makes a process slow where its tasks take time", async () => {
    const world = new VirtualWorld({ seed: 1 })
    await world.run(async () => {
      const a = world.process("a")
      a.taskMs = 3
      const moments: Array<number> = []
      for (let count = 0; count < 3; count++) a.post(() => moments.push(world.nowMs))
      await world.sleep(100)
      expect(moments).toEqual([0, 3, 6])
    })
  })

  it("fails where the driver fails, a process throws, a promise is left rejected, or nobody has anything to do", async () => {
    const failing = (driver: (world: VirtualWorld) => Promise<unknown>) => {
      const world = new VirtualWorld({ seed: 1 })
      return world.run(() => driver(world))
    }
    await expect(failing(async () => expect(1).toBe(2))).rejects.toThrow("to be 2")
    const throwing = (world: VirtualWorld) => {
      world.process("a").post(() => {
        throw new Error("thrown by a")
      })
      return world.sleep(10)
    }
    await expect(failing(throwing)).rejects.toThrow("thrown by a")
    await expect(failing(() => new Promise(() => undefined))).rejects.toThrow("the driver waits")
    const spinning = (world: VirtualWorld) => {
      const again = () => void setImmediate(again)
      world.process("a").post(again)
      return world.sleep(10)
    }
    await expect(failing(spinning)).rejects.toThrow("no time passes")
    expect(Date.now()).toBeGreaterThan(1_700_000_100_000)
  })
})

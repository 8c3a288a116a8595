import { describe, expect, it } from "vitest"
import { checkLinearizability, type Linearizability, type Operation } from "../src/Linearizability.js"
import { type RegisterInput, registerModel, type RegisterOutput, type RegisterValue } from "../src/RegisterModel.js"
import { SeededRandom } from "../src/SeededRandom.js"

type Op = Operation<RegisterInput, RegisterOutput>

/**
 * One line per client, time from left to right: `w1` writes 1, `r1` reads 1, `c12` writes 2 where it is 1, `x12` is refused to. Each
 * operation lasts from its first character to the closing `|`; without one, nobody knows its outcome. `r-`: reads nothing.
 */
const history = (...lines: ReadonlyArray<string>): ReadonlyArray<Op> =>
  lines.flatMap((line, client) =>
    [...line.matchAll(/([wrcx])([\d-])(\d?)[^|wrcx]*(\|?)/g)].map((match): Op => {
      const [whole, kind, first, second, end] = match
      const value = (digit: string | undefined): RegisterValue => (digit === "-" ? undefined : digit)
      const name = "x"
      const inputs: Record<string, RegisterInput> = {
        w: { _tag: "Write", name, value: value(first) },
        r: { _tag: "Read", name },
        c: { _tag: "CompareAndSet", name, expected: value(first), value: value(second) },
        x: { _tag: "CompareAndSet", name, expected: value(first), value: value(second) }
      }
      const outputs: Record<string, RegisterOutput> = {
        w: { _tag: "Written" },
        r: { _tag: "Value", value: value(first) },
        c: { _tag: "Written" },
        x: { _tag: "Refused" }
      }
      const known = end === "|"
      return {
        client,
        input: inputs[kind as string] as RegisterInput,
        output: known ? outputs[kind as string] : undefined,
        calledAt: match.index,
        returnedAt: known ? match.index + whole.length - 1 : Number.POSITIVE_INFINITY
      }
    })
  )

const verdict = (...lines: ReadonlyArray<string>): Linearizability["_tag"] =>
  checkLinearizability(registerModel, history(...lines))._tag

const good: Record<string, ReadonlyArray<string>> = {
  "one after another": ["w1| r1| w2| r2|"],
  "a read beside a write sees it or not": ["w1| w2      |", "     r1| r2|"],
  "two writes side by side in either order": ["w1   | r2|", "w2   |    r2|"],
  "the later write first": ["w1      |     ", "  w2  |   r1|"],
  "a compare and set that takes its turn": ["w1| c12   |", "    c23  | r3|"],
  "a refused one": ["w1| x23| r1|"],
  "of two compare and sets one": ["w1| c12 |", "    x13 | r2|"],
  "an unknown write that happened": ["w1     ", "    r-| r1|"],
  "an unknown write that never happened": ["w1     ", "    w2| r2| r2|"],
  "an unknown write that happens late": ["w1          ", "  w2| r2| r1|"],
  "an unknown compare and set that failed": ["c12        ", " w3| r3| r3|"],
  "an unknown write between others": ["w1              ", "w2 | r2|  r1| w3| r3|"],
  "an unknown deletion": ["w1| w-      ", "     r1| r-|"]
}

const bad: Record<string, ReadonlyArray<string>> = {
  "a stale read": ["w1| w2|     ", "        r1|"],
  "a read of what nobody wrote": ["w1| r3|"],
  "a value that comes back": ["w1|          ", "   w2    |   ", "     r2| r1|"],
  "readers that disagree on the order": ["w1       |", "w2       |", "r1| r2| r1|"],
  "a new value seen, then the old one by another": ["w1| w2          |", "     r2| ", "         r1|"],
  "both compare and sets succeed": ["w1| c12 |", "    c13 |"],
  "a refused one that should not have been": ["w1|      ", "    x12| "],
  "an unknown write seen before it was called": ["     w1  ", "r1|"],
  "an unknown write that takes itself back": ["w1            ", "w2|  r1| r2|"],
  "an unknown write that happened twice": ["w1                 ", "w2| r1| w3| r3| r1|"],
  "an acknowledged write that is lost": ["w1|    ", "    r-|"],
  "an unknown compare and set that could not have happened": ["w1| w3|      ", "   c12        ", "        r3| r2|"]
}

/** Every order that real time allows, with every subset of the unknown ones. */
const bruteForce = (operations: ReadonlyArray<Op>): boolean => {
  const walk = (left: ReadonlyArray<Op>, state: { readonly value: RegisterValue }): boolean => {
    if (left.every(({ returnedAt }) => returnedAt === Number.POSITIVE_INFINITY)) return true
    const firstReturn = Math.min(...left.map(({ returnedAt }) => returnedAt))
    return left.some((operation) => {
      if (operation.calledAt > firstReturn) return false
      const after = registerModel.step(state, operation.input, operation.output)
      return (
        after !== undefined &&
        walk(
          left.filter((other) => other !== operation),
          after
        )
      )
    })
  }
  return walk(operations, { value: undefined })
}

const randomHistory = (random: SeededRandom): ReadonlyArray<Op> =>
  Array.from({ length: random.int(2, 7) }, (_, client): Op => {
    const value = random.pick(["1", "2", undefined])
    const expected = random.pick(["1", "2", undefined])
    const [input, output] = random.pick<readonly [RegisterInput, RegisterOutput]>([
      [
        { _tag: "Read", name: "x" },
        { _tag: "Value", value }
      ],
      [{ _tag: "Write", name: "x", value }, { _tag: "Written" }],
      [{ _tag: "CompareAndSet", name: "x", expected, value }, { _tag: random.pick(["Written", "Refused"] as const) }]
    ])
    const calledAt = random.int(0, 10)
    const known = random.chance(0.75)
    return {
      client,
      input,
      output: known ? output : undefined,
      calledAt,
      returnedAt: known ? calledAt + random.int(0, 6) : Number.POSITIVE_INFINITY
    }
  })

describe("checkLinearizability", () => {
  for (const [name, lines] of Object.entries(good)) it(`accepts: ${name}`, () => expect(verdict(...lines)).toBe("Linearizable"))
  for (const [name, lines] of Object.entries(bad)) it(`refuses: ${name}`, () => expect(verdict(...lines)).toBe("Violation"))

  it("says the same as trying every order", () => {
    const counts = { Linearizable: 0, Violation: 0 }
    for (let seed = 1; seed <= 4000; seed++) {
      const operations = randomHistory(new SeededRandom(seed))
      const expected = bruteForce(operations) ? "Linearizable" : "Violation"
      counts[expected]++
      expect([seed, checkLinearizability(registerModel, operations)._tag]).toEqual([seed, expected])
    }
    expect(Math.min(counts.Linearizable, counts.Violation)).toBeGreaterThan(500)
  })

  it("looks at each key alone, names the one that is wrong, and says what did not fit", () => {
    const right = history("w1| r1|")
    const wrong = history("w1| w2| r1|").map((one) => ({ ...one, input: { ...one.input, name: "y" } }))
    expect(checkLinearizability(registerModel, [...right, ...wrong])).toEqual({
      _tag: "Violation",
      key: "y",
      explanation: [
        '0: write y "1" -> written [0, 2]',
        '0: write y "2" -> written [4, 6]',
        'then, in state "2", one of these had to come, and none fits:',
        '0: read y -> "1" [8, 10]'
      ]
    })
  })

  it("copes with long histories, many clients and many unknown outcomes", () => {
    const random = new SeededRandom(1)
    const operations: Array<Op> = []
    let value: RegisterValue
    for (let at = 0; at < 2000; at++) {
      // Each takes effect at its own moment and is called and returns somewhat before and after it.
      const [calledAt, returnedAt] = [at - random.int(1, 4), at + random.int(1, 4)]
      const read = random.chance(0.5)
      const known = read || random.chance(0.97)
      if (!read) value = `${at}`
      operations.push({
        client: at,
        input: read ? { _tag: "Read", name: "x" } : { _tag: "Write", name: "x", value: `${at}` },
        output: !known ? undefined : read ? { _tag: "Value", value } : { _tag: "Written" },
        calledAt,
        returnedAt: known ? returnedAt : Number.POSITIVE_INFINITY
      })
    }
    expect(checkLinearizability(registerModel, operations)._tag).toBe("Linearizable")
    const stale: Op = {
      client: 0,
      input: { _tag: "Read", name: "x" },
      output: { _tag: "Value", value: "0" },
      calledAt: 1990,
      returnedAt: 1999
    }
    expect(checkLinearizability(registerModel, [...operations, stale])._tag).toBe("Violation")
  })

  it("says where the steps it was given did not suffice", () => {
    const operations = history(...Array.from({ length: 12 }, (_, index) => `w${index % 10}      |`), "  r-|")
    expect(checkLinearizability(registerModel, operations, { stepsMax: 3 })).toEqual({ _tag: "Undecided", key: "x" })
  })
})

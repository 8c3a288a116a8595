/**
 * Whether a history of concurrent operations could have come from one copy that did them one at a time: each at some moment between
 * its call and its return.
 *
 * The search is that of Wing and Gong with the memo of Lowe: it takes operations in any order that real time allows, goes back where
 * none fits, and never tries the same set of operations in the same state twice. Histories are split by key first where the model
 * allows it (a history is linearizable when that of each key is: Herlihy and Wing, 1990).
 *
 * An operation whose outcome nobody knows may have happened at any moment after its call, or not at all.
 */

import { SeededRandom } from "./SeededRandom.js"

export interface Operation<Input, Output> {
  /** Who did it; one client does one at a time. */
  readonly client: string | number
  readonly input: Input
  /** undefined where nobody knows the outcome. What is known not to have happened does not belong into a history. */
  readonly output: Output | undefined
  /** Moments are numbers of one clock or counter; equal ones count as concurrent. */
  readonly calledAt: number
  /** Infinity where nobody knows the outcome. */
  readonly returnedAt: number
}

export interface Model<State, Input, Output> {
  readonly initial: State
  /** The state after the operation, undefined where it cannot answer so in this state. `output` undefined: any answer. */
  step(state: State, input: Input, output: Output | undefined): State | undefined
  /** It changes nothing, whatever the state. */
  isRead(input: Input): boolean
  /** Equal states have equal keys. */
  stateKey(state: State): string
  /** Operations on different keys have nothing to do with each other; all are on one where it is absent. */
  key?(input: Input): string
  /** For people. */
  describe(input: Input, output: Output | undefined): string
}

export type Linearizability =
  | { readonly _tag: "Linearizable" }
  /** `explanation`: the longest that could be put in order, and what did not fit. */
  | { readonly _tag: "Violation"; readonly key: string; readonly explanation: ReadonlyArray<string> }
  /** Not decided within the steps allowed. */
  | { readonly _tag: "Undecided"; readonly key: string }

/** A call whose outcome is known, or its return, in the list of those that are not yet in order; sorted by time. */
interface Event<Input, Output> {
  readonly at: number
  readonly isCall: boolean
  readonly index: number
  readonly operation: Operation<Input, Output>
  previous: Event<Input, Output> | undefined
  next: Event<Input, Output> | undefined
  /** Of a call. */
  returned: Event<Input, Output> | undefined
}

/** A call whose outcome nobody knows. */
interface Unknown<Input, Output> {
  readonly index: number
  readonly operation: Operation<Input, Output>
  taken: boolean
}

interface Taken<State, Input, Output> {
  readonly operation: Operation<Input, Output>
  readonly index: number
  readonly before: State
  readonly beforeKey: string
  /** Where it stood: in the list, or among those of unknown outcome. */
  readonly call: Event<Input, Output> | undefined
  readonly unknown: number
}

const isKnown = ({ returnedAt }: Operation<unknown, unknown>): boolean => returnedAt !== Number.POSITIVE_INFINITY

const eventsOf = <Input, Output>(operations: ReadonlyArray<Operation<Input, Output>>): Event<Input, Output> => {
  const events = operations.flatMap((operation, index) => {
    if (!isKnown(operation)) return []
    const none = { previous: undefined, next: undefined }
    const returned = { at: operation.returnedAt, isCall: false, index, operation, ...none, returned: undefined }
    return [{ at: operation.calledAt, isCall: true, index, operation, ...none, returned }, returned] as Array<
      Event<Input, Output>
    >
  })
  events.sort((a, b) => a.at - b.at || Number(b.isCall) - Number(a.isCall))
  const head = { at: Number.NEGATIVE_INFINITY } as Event<Input, Output>
  let last = head
  for (const event of events) {
    last.next = event
    event.previous = last
    last = event
  }
  return head
}

const unlink = <Input, Output>(event: Event<Input, Output>): void => {
  if (event.previous !== undefined) event.previous.next = event.next
  if (event.next !== undefined) event.next.previous = event.previous
}

const relink = <Input, Output>(event: Event<Input, Output>): void => {
  if (event.previous !== undefined) event.previous.next = event
  if (event.next !== undefined) event.next.previous = event
}

/** Which operations are in order already: the exclusive or of 96 bits drawn for each, so that equal keys are equal sets. */
class TakenSet {
  private readonly drawn: Int32Array
  private readonly key: Int32Array = new Int32Array(3)

  constructor(size: number) {
    const random = new SeededRandom(size)
    this.drawn = Int32Array.from({ length: 3 * size }, () => random.next() * 0x100000000)
  }

  flip(index: number): void {
    for (let word = 0; word < 3; word++) {
      this.key[word] = (this.key[word] as number) ^ (this.drawn[3 * index + word] as number)
    }
  }

  /** Of the set and the state together. */
  keyWith(state: string): string {
    return `${this.key[0]} ${this.key[1]} ${this.key[2]} ${state}`
  }
}

class Search<State, Input, Output> {
  private readonly head: Event<Input, Output>
  private readonly unknown: Array<Unknown<Input, Output>>
  private readonly taken: Array<Taken<State, Input, Output>> = []
  private readonly set: TakenSet
  private readonly tried = new Set<string>()
  private state: State
  private stateKey: string
  private longest: ReadonlyArray<string> = []
  private longestLength = -1

  constructor(
    private readonly model: Model<State, Input, Output>,
    operations: ReadonlyArray<Operation<Input, Output>>
  ) {
    this.head = eventsOf(operations)
    this.unknown = operations
      .map((operation, index) => ({ operation, index, taken: false }))
      .filter(({ operation }) => !isKnown(operation) && !model.isRead(operation.input))
      .sort((a, b) => a.operation.calledAt - b.operation.calledAt)
    this.set = new TakenSet(operations.length)
    this.state = model.initial
    this.stateKey = model.stateKey(model.initial)
  }

  /** True or false; undefined where the steps did not suffice. */
  run(stepsMax: number): boolean | undefined {
    // What to try next: a call of the list, or, behind the last of those that may come first, one of unknown outcome.
    let event = this.head.next
    let unknown = 0
    for (let steps = 0; this.head.next !== undefined; steps++) {
      if (steps >= stepsMax) return undefined
      if (event?.isCall === true) {
        if (this.take(event.operation, event.index, event, -1)) {
          unlink(event)
          unlink(event.returned as Event<Input, Output>)
          event = this.head.next
          unknown = 0
        } else {
          event = event.next
        }
        continue
      }
      // A return whose call is not in order: that call must come before it.
      const candidate = this.unknown[unknown]
      if (candidate !== undefined && candidate.operation.calledAt <= (event as Event<Input, Output>).at) {
        if (this.matters(candidate) && this.take(candidate.operation, candidate.index, undefined, unknown)) {
          candidate.taken = true
          event = this.head.next
          unknown = 0
        } else {
          unknown++
        }
        continue
      }
      this.remember()
      const back = this.goBack()
      if (back === undefined) return false
      if (back.call !== undefined) {
        event = back.call.next
        unknown = 0
      } else {
        unknown = back.unknown + 1
        event = this.head.next
        while (event?.isCall === true) event = event.next
      }
    }
    return true
  }

  get explanation(): ReadonlyArray<string> {
    return this.longest
  }

  private take(
    operation: Operation<Input, Output>,
    index: number,
    call: Event<Input, Output> | undefined,
    unknown: number
  ): boolean {
    const { model, set, state, stateKey } = this
    const after = model.step(state, operation.input, operation.output)
    if (after === undefined) return false
    const last = this.taken.at(-1)
    // Where an operation of unknown outcome makes no difference to what comes next, it need not have happened: that is tried anyway.
    if (last !== undefined && last.call === undefined && !this.differs(last.before, after, operation)) return false
    const afterKey = model.stateKey(after)
    set.flip(index)
    const key = set.keyWith(afterKey)
    if (this.tried.has(key)) {
      set.flip(index)
      return false
    }
    this.tried.add(key)
    this.taken.push({ operation, index, before: state, beforeKey: stateKey, call, unknown })
    this.state = after
    this.stateKey = afterKey
    return true
  }

  /** Whether an operation of unknown outcome makes a difference to one that may come right behind it. */
  private matters({ taken, operation }: Unknown<Input, Output>): boolean {
    const { model, state } = this
    if (taken) return false
    const after = model.step(state, operation.input, operation.output)
    if (after === undefined) return false
    const isDifferent = (next: Operation<Input, Output>) => {
      const afterNext = model.step(after, next.input, next.output)
      return afterNext !== undefined && this.differs(state, afterNext, next)
    }
    let event = this.head.next
    for (; event?.isCall === true; event = event.next) if (isDifferent(event.operation)) return true
    const untilAt = (event as Event<Input, Output>).at
    return this.unknown.some(
      (next) => !next.taken && next.operation !== operation && next.operation.calledAt <= untilAt && isDifferent(next.operation)
    )
  }

  /** Whether the operation, done in `before` instead, leads to something else than `after`, or is not possible. */
  private differs(before: State, after: State, { input, output }: Operation<Input, Output>): boolean {
    const without = this.model.step(before, input, output)
    return without === undefined || this.model.stateKey(without) !== this.model.stateKey(after)
  }

  /** Takes back up to the newest one in whose place another may come; undefined where there is none. */
  private goBack(): Taken<State, Input, Output> | undefined {
    for (;;) {
      const last = this.taken.pop()
      if (last === undefined) return undefined
      this.state = last.before
      this.stateKey = last.beforeKey
      this.set.flip(last.index)
      if (last.call === undefined) {
        ;(this.unknown[last.unknown] as Unknown<Input, Output>).taken = false
        return last
      }
      relink(last.call.returned as Event<Input, Output>)
      relink(last.call)
      // A read that fits changes nothing: there is no reason to try it later.
      if (!this.model.isRead(last.operation.input)) return last
    }
  }

  private remember(): void {
    if (this.taken.length <= this.longestLength) return
    this.longestLength = this.taken.length
    const say = ({ client, input, output, calledAt, returnedAt }: Operation<Input, Output>) =>
      `${client}: ${this.model.describe(input, output)} [${calledAt}, ${returnedAt}]`
    const stuck: Array<string> = []
    for (let event = this.head.next; event?.isCall === true; event = event.next) stuck.push(say(event.operation))
    const intro = `then, in state ${this.stateKey}, one of these had to come, and none fits:`
    this.longest = [...this.taken.map(({ operation }) => say(operation)), intro, ...stuck]
  }
}

export interface LinearizabilityOptions {
  /** Per key; a few million take a few seconds. */
  readonly stepsMax?: number | undefined
}

/** The first key's verdict that is not `Linearizable`, violations first. */
export const checkLinearizability = <State, Input, Output>(
  model: Model<State, Input, Output>,
  history: ReadonlyArray<Operation<Input, Output>>,
  { stepsMax = 5_000_000 }: LinearizabilityOptions = {}
): Linearizability => {
  const byKey = new Map<string, Array<Operation<Input, Output>>>()
  for (const operation of history) {
    const key = model.key?.(operation.input) ?? ""
    const same = byKey.get(key)
    if (same === undefined) byKey.set(key, [operation])
    else same.push(operation)
  }
  let undecided: Linearizability | undefined
  for (const [key, operations] of byKey) {
    const search = new Search(model, operations)
    const verdict = search.run(stepsMax)
    if (verdict === false) return { _tag: "Violation", key, explanation: search.explanation }
    if (verdict === undefined) undecided ??= { _tag: "Undecided", key }
  }
  return undecided ?? { _tag: "Linearizable" }
}

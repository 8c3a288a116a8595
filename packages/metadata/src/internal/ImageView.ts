/**
 * The image as the rest of the node sees it: listeners, streams of deltas, and waiting until it shows a version.
 *
 * Invariants
 * - Listeners are told after `image()` shows a change, in the order of changes, and never of one twice.
 * - A view that was stopped shows what it last had and changes no more.
 */
import type { MetadataUnavailable } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { type Delta, deltaOf } from "../core/Delta.js"
import { emptyImage, type Image } from "../core/Image.js"
import { touchedKeys } from "../core/touchedKeys.js"

export interface Change {
  readonly before: Image
  readonly after: Image
  /** All events between them; undefined where they are not known, as after a snapshot. */
  readonly events: ReadonlyArray<MetadataEvent> | undefined
}

interface Waiter {
  readonly version: number
  readonly resume: (stopped: MetadataUnavailable | undefined) => void
}

export class ImageView {
  private imageNow: Image = emptyImage
  private stopped: MetadataUnavailable | undefined
  private readonly listeners = new Set<(delta: Delta) => void>()
  /** By rising version. */
  private waiters: Array<Waiter> = []

  image(): Image {
    return this.imageNow
  }

  /** Answers what listeners threw, which none may. */
  show(change: Change): ReadonlyArray<unknown> {
    this.imageNow = change.after
    const problems: Array<unknown> = []
    if (this.listeners.size > 0 && change.before !== change.after) {
      const { before, after, events } = change
      const delta = deltaOf(before, after, events === undefined ? undefined : touchedKeys(events))
      for (const listener of this.listeners) {
        try {
          listener(delta)
        } catch (problem) {
          problems.push(problem)
        }
      }
    }
    return problems
  }

  /** Wakes who waits for what is shown; apart from `show`, so that whoever made the change is answered first. */
  wake(): void {
    let ready = 0
    while (ready < this.waiters.length && (this.waiters[ready] as Waiter).version <= this.imageNow.version) ready++
    for (const waiter of this.waiters.splice(0, ready)) waiter.resume(undefined)
  }

  stop(why: MetadataUnavailable): void {
    this.stopped ??= why
    for (const waiter of this.waiters.splice(0)) waiter.resume(this.stopped)
  }

  /** Calls back once it is shown, or will not be; perhaps at once. Without a bound in time: whoever waits brings one. Answers how to stop. */
  wait(version: number, resume: (stopped: MetadataUnavailable | undefined) => void): () => void {
    if (version <= this.imageNow.version || this.stopped !== undefined) {
      resume(version <= this.imageNow.version ? undefined : this.stopped)
      return () => undefined
    }
    const waiter: Waiter = { version, resume }
    let at = this.waiters.length
    while (at > 0 && (this.waiters[at - 1] as Waiter).version > version) at--
    this.waiters.splice(at, 0, waiter)
    return () => {
      const found = this.waiters.indexOf(waiter)
      if (found >= 0) this.waiters.splice(found, 1)
    }
  }

  whenShown(version: number): Effect.Effect<void, MetadataUnavailable> {
    return Effect.async<void, MetadataUnavailable>((resume) => {
      const stop = this.wait(version, (stopped) => resume(stopped === undefined ? Effect.void : Effect.fail(stopped)))
      return Effect.sync(stop)
    })
  }

  onChange(listener: (delta: Delta) => void): () => void {
    // A wrapper of its own, so that a listener registered twice is called twice and stopped once.
    const entry = (delta: Delta) => listener(delta)
    this.listeners.add(entry)
    return () => {
      this.listeners.delete(entry)
    }
  }

  /** The current image, then newer ones; a slow reader skips some and always gets the newest. */
  private readonly images: Stream.Stream<Image> = Stream.unwrapScoped(
    Effect.gen(this, function* () {
      const newest = yield* Effect.acquireRelease(Queue.sliding<Image>(1), Queue.shutdown)
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          newest.unsafeOffer(this.imageNow)
          return this.onChange((delta) => newest.unsafeOffer(delta.after))
        }),
        (stop) => Effect.sync(stop)
      )
      return Stream.fromQueue(newest)
    })
  )

  readonly changes: Stream.Stream<Delta> = Stream.mapAccum(this.images, emptyImage, (before: Image, after: Image) => [
    after,
    deltaOf(before, after)
  ])
}

/**
 * Messages that wait in memory for one client, first in first out, with what their payloads come to.
 */
import type { Delivery } from "./Delivery.js"
import { Fifo } from "./Fifo.js"

export class DeliveryQueue {
  private deliveries = new Fifo<Delivery>()
  private sizeBytes = 0

  get size(): number {
    return this.deliveries.size
  }

  isFull(limits: { readonly queueMax: number; readonly queueBytesMax: number }): boolean {
    return this.size >= limits.queueMax || (this.size > 0 && this.sizeBytes >= limits.queueBytesMax)
  }

  push(delivery: Delivery): void {
    delivery.compact()
    this.sizeBytes += delivery.sizeBytes
    this.deliveries.push(delivery)
  }

  shift(): Delivery {
    const delivery = this.deliveries.shift() as Delivery
    this.sizeBytes -= delivery.sizeBytes
    return delivery
  }

  /** Takes out what `leaves`; the rest keeps its order. */
  takeOut(leaves: (delivery: Delivery) => boolean): Array<Delivery> {
    const taken: Array<Delivery> = []
    const { deliveries } = this
    this.deliveries = new Fifo()
    this.sizeBytes = 0
    for (const delivery of deliveries.values()) {
      if (leaves(delivery)) taken.push(delivery)
      else this.push(delivery)
    }
    return taken
  }
}

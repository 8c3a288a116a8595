/**
 * Watches what state machines make of the log: the same images at the same index, each command's effect once, and what was
 * acknowledged in every later image.
 */
import type { RegisterMachine } from "./RegisterMachine.js"
import type { Violations } from "./Violations.js"

/** Whole images are compared at every so many-th index, after each restored snapshot and at the end: they are large. */
const compareEvery = 25

export class ImageWatch {
  private readonly imagesByIndex = new Map<number, string>()
  private readonly effectsById = new Map<string, number>()
  private readonly acknowledged = new Set<string>()

  constructor(private readonly violations: Violations) {}

  /** A client got an answer to a write. */
  acknowledge(commandId: string): void {
    this.acknowledged.add(commandId)
    if (!this.effectsById.has(commandId)) this.violations.add(`${commandId} was answered, and no node applied it`)
  }

  effect(nodeId: number, commandId: string, index: number): void {
    const known = this.effectsById.get(commandId)
    if (known === undefined) this.effectsById.set(commandId, index)
    else if (known !== index) {
      this.violations.add(`${commandId} takes effect at ${index} on node ${nodeId}, and it did at ${known}`)
    }
  }

  applied(nodeId: number, machine: RegisterMachine): void {
    if (machine.appliedIndex % compareEvery === 0) this.compare(nodeId, machine)
  }

  restored(nodeId: number, index: number, machine: RegisterMachine): void {
    this.compare(nodeId, machine)
    for (const [commandId, effectIndex] of this.effectsById) {
      if (effectIndex <= index && !machine.outputs.has(commandId)) {
        this.violations.add(`the snapshot at ${index} on node ${nodeId} lacks ${commandId}, which took effect at ${effectIndex}`)
      }
    }
  }

  compare(nodeId: number, { appliedIndex, content }: RegisterMachine): void {
    const known = this.imagesByIndex.get(appliedIndex)
    if (known === undefined) this.imagesByIndex.set(appliedIndex, content)
    else if (known !== content) this.violations.add(`the image of node ${nodeId} at ${appliedIndex} differs from another's`)
  }

  /** At the end, on a member that has everything. */
  final(nodeId: number, machine: RegisterMachine): void {
    this.compare(nodeId, machine)
    for (const commandId of this.acknowledged) {
      if (!machine.outputs.has(commandId)) this.violations.add(`${commandId} was answered, and node ${nodeId} does not have it`)
    }
  }
}

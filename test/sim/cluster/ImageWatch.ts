/**
 * Watches what state machines make of the log: images are the same at the same index, each command takes effect once, and what was
 * acknowledged took effect. An image tells of every command that ever took effect, in order, so equal images have them all.
 */
import type { RegisterMachine } from "./RegisterMachine.js"
import type { Violations } from "./Violations.js"

export class ImageWatch {
  private readonly imagesByIndex = new Map<number, string>()
  private readonly effectsById = new Map<string, number>()
  private readonly acknowledged = new Map<string, number>()

  constructor(private readonly violations: Violations) {}

  /** A client got an answer to a write. */
  acknowledge(commandId: string): void {
    const index = this.effectsById.get(commandId)
    if (index === undefined) this.violations.add(`${commandId} was answered, and no node applied it`)
    else this.acknowledged.set(commandId, index)
  }

  effect(nodeId: number, commandId: string, index: number): void {
    const known = this.effectsById.get(commandId)
    if (known === undefined) this.effectsById.set(commandId, index)
    else if (known !== index) {
      this.violations.add(`${commandId} takes effect at ${index} on node ${nodeId}, and it did at ${known}`)
    }
  }

  /** The image of a node, after it applied something or began with a snapshot. */
  compare(nodeId: number, { appliedIndex, content }: RegisterMachine): void {
    const known = this.imagesByIndex.get(appliedIndex)
    if (known === undefined) this.imagesByIndex.set(appliedIndex, content)
    else if (known !== content) {
      this.violations.add(`the image of node ${nodeId} at ${appliedIndex} is ${content}, and another's ${known}`)
    }
  }

  /** At the end, of a member that has everything. */
  final(nodeId: number, machine: RegisterMachine): void {
    this.compare(nodeId, machine)
    for (const [commandId, index] of this.acknowledged) {
      if (index > machine.appliedIndex) this.violations.add(`${commandId} was answered, and node ${nodeId} does not have it`)
    }
  }
}

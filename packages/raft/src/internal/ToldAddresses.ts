/**
 * Where nodes that sent something say that they are reached, the newest: bounded, those that said it first give way.
 */
const nodesMaxDefault = 64

export class ToldAddresses {
  private readonly addressesByNode = new Map<number, string>()

  constructor(private readonly nodesMax = nodesMaxDefault) {}

  set(nodeId: number, address: string): void {
    const { addressesByNode } = this
    if (addressesByNode.get(nodeId) === address) return
    addressesByNode.delete(nodeId)
    addressesByNode.set(nodeId, address)
    for (const [first] of addressesByNode) {
      if (addressesByNode.size <= this.nodesMax) break
      addressesByNode.delete(first)
    }
  }

  forget(nodeId: number): void {
    this.addressesByNode.delete(nodeId)
  }

  get(nodeId: number): string | undefined {
    return this.addressesByNode.get(nodeId)
  }
}

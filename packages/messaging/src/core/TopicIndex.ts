/**
 * A tree of topic names, one value per name: finds the values of all names that a filter matches. The mirror of `FilterTree`.
 */
class Node<V> {
  children: Map<string, Node<V>> | undefined = undefined
  value: V | undefined = undefined
}

export class TopicIndex<V> {
  private readonly root = new Node<V>()
  private count = 0

  get size(): number {
    return this.count
  }

  get(topic: string): V | undefined {
    let node: Node<V> | undefined = this.root
    for (const level of topic.split("/")) {
      node = node.children?.get(level)
      if (node === undefined) return undefined
    }
    return node.value
  }

  set(topic: string, value: V): void {
    let node = this.root
    for (const level of topic.split("/")) {
      const children = (node.children ??= new Map<string, Node<V>>())
      let child = children.get(level)
      if (child === undefined) {
        child = new Node<V>()
        children.set(level, child)
      }
      node = child
    }
    if (node.value === undefined) this.count++
    node.value = value
  }

  /** Answers whether there was a value. */
  delete(topic: string): boolean {
    const levels = topic.split("/")
    const path = [this.root]
    for (const level of levels) {
      const child = (path[path.length - 1] as Node<V>).children?.get(level)
      if (child === undefined) return false
      path.push(child)
    }
    const last = path[levels.length] as Node<V>
    if (last.value === undefined) return false
    last.value = undefined
    this.count--
    for (let index = levels.length; index > 0; index--) {
      const node = path[index] as Node<V>
      if (node.value !== undefined || node.children !== undefined) break
      const parent = path[index - 1] as Node<V>
      parent.children?.delete(levels[index - 1] as string)
      if (parent.children?.size === 0) parent.children = undefined
    }
    return true
  }

  /** Calls `visit` for every name that the filter matches, until it answers false. */
  match(filter: string, visit: (value: V) => boolean): void {
    const levels = filter.split("/")
    const first = levels[0] as string
    if (first === "+" || first === "#") {
      // A wildcard in the first level does not match names that begin with $ [MQTT-4.7.2-1].
      for (const [level, child] of this.root.children ?? []) {
        if (level.charCodeAt(0) === 0x24) continue
        const goOn = first === "#" ? visitAll(child, visit) : matchBelow(child, levels, 1, visit)
        if (!goOn) return
      }
    } else {
      matchBelow(this.root, levels, 0, visit)
    }
  }

  /** Every value, in no order. */
  visit(visit: (value: V) => boolean): void {
    visitAll(this.root, visit)
  }
}

const visitAll = <V>(node: Node<V>, visit: (value: V) => boolean): boolean => {
  if (node.value !== undefined && !visit(node.value)) return false
  if (node.children !== undefined) for (const child of node.children.values()) if (!visitAll(child, visit)) return false
  return true
}

const matchBelow = <V>(node: Node<V>, levels: ReadonlyArray<string>, index: number, visit: (value: V) => boolean): boolean => {
  if (index === levels.length) return node.value === undefined || visit(node.value)
  const level = levels[index] as string
  // `a/#` matches `a` too [MQTT5 4.7.1.2].
  if (level === "#") return visitAll(node, visit)
  if (level === "+") {
    for (const child of node.children?.values() ?? []) if (!matchBelow(child, levels, index + 1, visit)) return false
    return true
  }
  const child = node.children?.get(level)
  return child === undefined || matchBelow(child, levels, index + 1, visit)
}

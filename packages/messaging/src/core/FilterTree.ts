/**
 * A tree of topic filters, one value per filter: finds the values of all filters that match a topic name.
 *
 * Filters without wildcards are in a map of their own, so that a tree of a million exact filters costs one look-up.
 */
import { hasWildcard } from "./TopicFilter.js"

class Node<V> {
  children: Map<string, Node<V>> | undefined = undefined
  plus: Node<V> | undefined = undefined
  /** Value of the filter that ends here. */
  value: V | undefined = undefined
  /** Value of the filter that ends with `#` behind here. */
  hash: V | undefined = undefined

  isEmpty(): boolean {
    return this.children === undefined && this.plus === undefined && this.value === undefined && this.hash === undefined
  }
}

export class FilterTree<V> {
  private readonly exact = new Map<string, V>()
  private readonly root = new Node<V>()
  private wildcards = 0

  get size(): number {
    return this.exact.size + this.wildcards
  }

  get(filter: string): V | undefined {
    if (!hasWildcard(filter)) return this.exact.get(filter)
    const levels = filter.split("/")
    const isHash = levels[levels.length - 1] === "#"
    let node: Node<V> | undefined = this.root
    for (let index = 0; index < levels.length - (isHash ? 1 : 0) && node !== undefined; index++) {
      const level = levels[index] as string
      node = level === "+" ? node.plus : node.children?.get(level)
    }
    return isHash ? node?.hash : node?.value
  }

  set(filter: string, value: V): void {
    if (!hasWildcard(filter)) {
      this.exact.set(filter, value)
      return
    }
    const levels = filter.split("/")
    const isHash = levels[levels.length - 1] === "#"
    let node = this.root
    for (let index = 0; index < levels.length - (isHash ? 1 : 0); index++) {
      const level = levels[index] as string
      if (level === "+") {
        node = node.plus ??= new Node<V>()
      } else {
        const children = (node.children ??= new Map<string, Node<V>>())
        let child = children.get(level)
        if (child === undefined) {
          child = new Node<V>()
          children.set(level, child)
        }
        node = child
      }
    }
    if ((isHash ? node.hash : node.value) === undefined) this.wildcards++
    if (isHash) node.hash = value
    else node.value = value
  }

  delete(filter: string): void {
    if (!hasWildcard(filter)) {
      this.exact.delete(filter)
      return
    }
    this.deleteBelow(this.root, filter.split("/"), 0)
  }

  private deleteBelow(node: Node<V>, levels: ReadonlyArray<string>, index: number): void {
    const level = levels[index] as string
    if (level === "#" && index === levels.length - 1) {
      if (node.hash !== undefined) this.wildcards--
      node.hash = undefined
    } else if (index === levels.length) {
      if (node.value !== undefined) this.wildcards--
      node.value = undefined
    } else if (level === "+") {
      if (node.plus === undefined) return
      this.deleteBelow(node.plus, levels, index + 1)
      if (node.plus.isEmpty()) node.plus = undefined
    } else {
      const child = node.children?.get(level)
      if (child === undefined) return
      this.deleteBelow(child, levels, index + 1)
      if (child.isEmpty()) {
        node.children?.delete(level)
        if (node.children?.size === 0) node.children = undefined
      }
    }
  }

  /** Calls `visit` with the value of every filter that matches the topic name. */
  match(topic: string, visit: (value: V) => void): void {
    const exact = this.exact.get(topic)
    if (exact !== undefined) visit(exact)
    if (this.wildcards === 0) return
    const levels = topic.split("/")
    // Wildcards in the first level do not match topics that begin with $ [MQTT-4.7.2-1].
    if (topic.charCodeAt(0) === 0x24) {
      const child = this.root.children?.get(levels[0] as string)
      if (child !== undefined) this.matchBelow(child, levels, 1, visit)
    } else {
      this.matchBelow(this.root, levels, 0, visit)
    }
  }

  private matchBelow(node: Node<V>, levels: ReadonlyArray<string>, index: number, visit: (value: V) => void): void {
    // `a/#` matches `a` too [MQTT5 4.7.1.2].
    if (node.hash !== undefined) visit(node.hash)
    if (index === levels.length) {
      if (node.value !== undefined) visit(node.value)
      return
    }
    if (node.plus !== undefined) this.matchBelow(node.plus, levels, index + 1, visit)
    const child = node.children?.get(levels[index] as string)
    if (child !== undefined) this.matchBelow(child, levels, index + 1, visit)
  }
}

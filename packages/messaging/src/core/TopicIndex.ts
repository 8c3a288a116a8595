/**
 * A tree of topic names, one value per name: finds the values of all names that a filter matches, piece by piece. The mirror of
 * `FilterTree`.
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

  /** Answers the value there was. */
  set(topic: string, value: V): V | undefined {
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
    const before = node.value
    if (before === undefined) this.count++
    node.value = value
    return before
  }

  /** Answers the value there was. */
  delete(topic: string): V | undefined {
    const levels = topic.split("/")
    const path = [this.root]
    for (const level of levels) {
      const child = (path[path.length - 1] as Node<V>).children?.get(level)
      if (child === undefined) return undefined
      path.push(child)
    }
    const last = path[levels.length] as Node<V>
    const before = last.value
    if (before === undefined) return undefined
    last.value = undefined
    this.count--
    for (let index = levels.length; index > 0; index--) {
      const node = path[index] as Node<V>
      if (node.value !== undefined || node.children !== undefined) break
      const parent = path[index - 1] as Node<V>
      parent.children?.delete(levels[index - 1] as string)
      if (parent.children?.size === 0) parent.children = undefined
    }
    return before
  }

  /** Finds the values of the names that the filter matches, piece by piece. */
  find(filter: string): TopicCursor<V> {
    return new TopicCursor(this.root, filter.split("/"))
  }

  /** Finds every value, in no order, piece by piece. */
  all(): TopicCursor<V> {
    return new TopicCursor(this.root, undefined)
  }
}

/** Instead of a place in the filter: everything below is wanted. */
const everything = -1

/**
 * Goes through an index from where it stopped, so that a filter that matches a million names holds nobody up. The index may
 * change meanwhile: what was there all the time is found once; what came or went may be found or not.
 */
export class TopicCursor<V> {
  /** By depth: the nodes that are left, and the place in the filter that applies below them. */
  private readonly nodes: Array<Iterator<Node<V>>> = []
  private readonly places: Array<number> = []

  constructor(
    root: Node<V>,
    /** undefined: everything. */
    private readonly levels: ReadonlyArray<string> | undefined
  ) {
    const first = levels?.[0]
    if (first === "+" || first === "#") {
      // A wildcard in the first level does not match names that begin with $ [MQTT-4.7.2-1].
      this.push(withoutSystem(root), first === "#" ? everything : 1)
    } else {
      this.push([root][Symbol.iterator](), levels === undefined ? everything : 0)
    }
  }

  /** Nothing is left to find. */
  get done(): boolean {
    return this.nodes.length === 0
  }

  /** The next value; undefined where none was found in that many nodes, or none is left. */
  next(visitsMax: number): V | undefined {
    for (let visits = 0; visits < visitsMax && this.nodes.length > 0; visits++) {
      const depth = this.nodes.length - 1
      const { value: node, done } = (this.nodes[depth] as Iterator<Node<V>, undefined>).next()
      if (done === true || node === undefined) {
        this.nodes.pop()
        this.places.pop()
        continue
      }
      const value = this.visit(node, this.places[depth] as number)
      if (value !== undefined) return value
    }
    return undefined
  }

  /** The value of the node if it is wanted; what may be wanted below it comes next. */
  private visit(first: Node<V>, place: number): V | undefined {
    const { levels } = this
    let node = first
    if (place !== everything && levels !== undefined) {
      for (let index = place; ; index++) {
        if (index === levels.length) return node.value
        const level = levels[index] as string
        // `a/#` matches `a` too [MQTT5 4.7.1.2].
        if (level === "#") break
        if (level === "+") {
          if (node.children !== undefined) this.push(node.children.values(), index + 1)
          return undefined
        }
        const child = node.children?.get(level)
        if (child === undefined) return undefined
        node = child
      }
    }
    if (node.children !== undefined) this.push(node.children.values(), everything)
    return node.value
  }

  private push(nodes: Iterator<Node<V>>, place: number): void {
    this.nodes.push(nodes)
    this.places.push(place)
  }
}

function* withoutSystem<V>(root: Node<V>): Generator<Node<V>> {
  for (const [level, child] of root.children ?? []) if (level.charCodeAt(0) !== 0x24) yield child
}

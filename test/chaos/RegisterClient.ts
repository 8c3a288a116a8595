/**
 * A client of a cluster's metadata that writes down what it asked and was told, for the check of linearizability. Its registers are
 * bans: the reason of the ban of a client id is the value.
 */
import type { Operation } from "@effectmq/testing/Linearizability"
import type { RegisterInput, RegisterOutput } from "@effectmq/testing/RegisterModel"
import type { ClusterProcesses } from "../support/ClusterProcesses.js"

export type RegisterOperation = Operation<RegisterInput, RegisterOutput>

export class RegisterHistory {
  readonly operations: Array<RegisterOperation> = []
  /** Writes that were acknowledged, and reads that a majority confirmed. */
  writes = 0
  reads = 0
  /** Reads that said they may be old. */
  stale = 0
  /** Refused, or without an answer. */
  failed = 0
  /** Of these, how many the broker itself answered with a clear error. */
  refused = 0
  private clients = 0

  newClient(): number {
    return ++this.clients
  }
}

/** How long a call may take until it counts as unanswered: longer than the broker's own limit. */
const callTimeoutMs = 3_000

export class RegisterClient {
  private running = true
  private readonly done: Promise<void>

  constructor(
    private readonly cluster: ClusterProcesses,
    private readonly history: RegisterHistory,
    private readonly nodeIds: ReadonlyArray<number>,
    private readonly names: ReadonlyArray<string>,
    private readonly random: (below: number) => number
  ) {
    this.done = this.work()
  }

  async stop(): Promise<void> {
    this.running = false
    await this.done
  }

  private async work(): Promise<void> {
    let client = this.history.newClient()
    let count = 0
    while (this.running) {
      const nodeId = this.nodeIds[this.random(this.nodeIds.length)] as number
      const name = this.names[this.random(this.names.length)] as string
      const input: RegisterInput =
        this.random(2) === 0 ? { _tag: "Read", name } : { _tag: "Write", name, value: `${client}.${++count}` }
      const calledAt = performance.now()
      const output = await this.ask(nodeId, input)
      const returnedAt = performance.now()
      if (output === "stale") continue
      // A read without an answer says nothing.
      if (output === undefined && input._tag === "Read") continue
      this.history.operations.push({
        client,
        input,
        output,
        calledAt,
        returnedAt: output === undefined ? Number.POSITIVE_INFINITY : returnedAt
      })
      // Whatever it asked may still happen: it goes on as another.
      if (output === undefined) client = this.history.newClient()
    }
  }

  private async ask(nodeId: number, input: RegisterInput): Promise<RegisterOutput | "stale" | undefined> {
    const { cluster, history } = this
    if (input._tag === "Read") {
      const answer = await cluster.call(nodeId, "GET", "bans", undefined, callTimeoutMs)
      if (answer.status !== 200) return this.noAnswer(answer.status)
      if (answer.stale) {
        history.stale++
        return "stale"
      }
      history.reads++
      const bans = answer.body as ReadonlyArray<{ readonly value: string; readonly reason: string }>
      return { _tag: "Value", value: bans.find((ban) => ban.value === input.name)?.reason }
    }
    const body = { reason: input.value }
    const answer = await cluster.call(nodeId, "PUT", `bans/clientId/${input.name}`, body, callTimeoutMs)
    if (answer.status !== 200 && answer.status !== 201) return this.noAnswer(answer.status)
    history.writes++
    return { _tag: "Written" }
  }

  private noAnswer(status: number): undefined {
    this.history.failed++
    if (status === 503) this.history.refused++
    return undefined
  }
}

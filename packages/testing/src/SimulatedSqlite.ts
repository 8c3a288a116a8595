/**
 * SQLite on simulated disks: the real engine, compiled to wasm, as a `SqlClient`. What it reads, writes and syncs goes to a
 * `SimulatedDisk` with all the faults of that; clock and randomness are given. It runs where it is called: no thread, no timer, no I/O
 * of the host. There is no memory shared between connections: a write-ahead log wants `locking_mode = EXCLUSIVE` before anything else.
 *
 * Invariants
 * - The same calls give the same bytes on the disk, whatever other databases did before: the engine's own random numbers begin anew,
 *   from the machine's, with every statement.
 * - Databases on a disk whose machine has stopped take no memory for longer than until the next one is opened.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DiskVfs, type DiskWork, type Machine } from "./internal/DiskVfs.js"
import { type Row, WasmDatabase } from "./internal/WasmDatabase.js"
import { loadWasm, type WasmModule } from "./internal/WasmSqlite.js"

export interface SqliteMachine extends Machine {
  /** How long the answer to a statement is kept back for what it did to the disk. */
  readonly latencyMs?: (work: DiskWork) => number
  /** Nobody is told of an error by a machine without power: statements on a disk that has stopped are never answered. */
  readonly silentWhenStopped?: boolean
}

interface OpenDatabase {
  readonly machine: SqliteMachine
  readonly mount: number
  readonly database: WasmDatabase
}

export class SimulatedSqlite {
  private readonly open = new Set<OpenDatabase>()

  private constructor(
    private readonly wasm: WasmModule,
    private readonly vfs: DiskVfs
  ) {}

  private static one: Promise<SimulatedSqlite> | undefined

  /** Reads the engine from the host's disk, once: to be awaited before anything is simulated. */
  static load(): Promise<SimulatedSqlite> {
    SimulatedSqlite.one ??= loadWasm().then((wasm) => {
      const vfs = new DiskVfs(wasm)
      wasm._sqlite3_initialize()
      wasm.vfs_register(vfs, true)
      return new SimulatedSqlite(wasm, vfs)
    })
    return SimulatedSqlite.one
  }

  /** Databases that take memory. */
  get openDatabases(): number {
    return this.open.size
  }

  /** Opens databases on the machine's disk by their path, each for a scope. */
  openOn(machine: SqliteMachine): (path: string) => Layer.Layer<SqlClient.SqlClient> {
    return (path) =>
      Layer.scoped(
        SqlClient.SqlClient,
        Effect.gen(this, function* () {
          const opened = yield* Effect.acquireRelease(
            Effect.sync(() => this.openDatabase(machine, path)),
            (database) => Effect.sync(() => this.closeDatabase(database))
          )
          const connection = this.connectionTo(opened)
          const semaphore = yield* Effect.makeSemaphore(1)
          const reserve = Effect.acquireRelease(Effect.as(semaphore.take(1), connection), () => semaphore.release(1))
          return yield* SqlClient.make({
            acquirer: semaphore.withPermits(1)(Effect.succeed(connection)),
            transactionAcquirer: reserve,
            compiler: Statement.makeCompilerSqlite(),
            spanAttributes: []
          })
        }).pipe(Effect.provideServiceEffect(Reactivity.Reactivity, Reactivity.make))
      )
  }

  private openDatabase(machine: SqliteMachine, path: string): OpenDatabase {
    for (const one of this.open) if (one.machine.disk.crashed) this.closeDatabase(one)
    const mount = this.vfs.mount(machine)
    try {
      this.begin(mount)
      const opened = { machine, mount, database: new WasmDatabase(this.wasm, `${mount}${path}`) }
      this.open.add(opened)
      return opened
    } catch (error) {
      this.vfs.unmount(mount)
      throw error
    }
  }

  private closeDatabase(opened: OpenDatabase): void {
    if (!this.open.delete(opened)) return
    this.begin(opened.mount)
    opened.database.close()
    this.vfs.unmount(opened.mount)
  }

  /** What the engine does now it does on that machine. */
  private begin(mount: number): void {
    this.vfs.runOn(mount)
    this.wasm._sqlite3_randomness(0, 0)
    Object.assign(this.vfs.work, { reads: 0, writes: 0, syncs: 0 })
  }

  private connectionTo(opened: OpenDatabase): Connection {
    const { machine, mount, database } = opened
    const run = (text: string, values: ReadonlyArray<unknown>): Effect.Effect<Array<Row>, SqlError> =>
      Effect.suspend(() => {
        let answer: Effect.Effect<Array<Row>, SqlError>
        try {
          this.begin(mount)
          answer = Effect.succeed(database.execute(text, values))
        } catch (cause) {
          answer = Effect.fail(new SqlError({ cause, message: "Failed to execute statement" }))
        }
        if (machine.disk.crashed && machine.silentWhenStopped === true) return Effect.never
        const waitMs = machine.latencyMs?.(this.vfs.work) ?? 0
        return waitMs > 0 ? Effect.zipRight(Effect.sleep(waitMs), answer) : answer
      })
    const transformed: Connection["execute"] = (text, values, transformRows) =>
      transformRows === undefined ? run(text, values) : Effect.map(run(text, values), transformRows)
    return {
      execute: transformed,
      executeUnprepared: transformed,
      executeRaw: run,
      executeValues: (text, values) => Effect.map(run(text, values), (rows) => rows.map((row) => Object.values(row))),
      executeStream: () => Effect.dieMessage("no streams here") as never
    }
  }
}

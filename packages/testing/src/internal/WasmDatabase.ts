/**
 * One open database of the wasm engine: statements with values in, rows out, at once.
 *
 * Each text is prepared once. Integers that a number cannot hold exactly are an error.
 */
import { columnType, ioError, resultCode, type WasmModule } from "./WasmSqlite.js"

const openFlags = 0x2 | 0x4
const transient = -1
const encoder = new TextEncoder()

const nameByCode: { readonly [code: number]: string } = {
  1: "SQLITE_ERROR",
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  7: "SQLITE_NOMEM",
  8: "SQLITE_READONLY",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  19: "SQLITE_CONSTRAINT",
  26: "SQLITE_NOTADB",
  [ioError.shortRead]: "SQLITE_IOERR_SHORT_READ"
}

/** With the code that SQLite's name for it is. */
export class WasmSqliteError extends Error {
  override readonly name = "SqliteError"

  constructor(
    message: string,
    readonly code: string
  ) {
    super(message)
  }
}

interface Statement {
  readonly pointer: number
  readonly columns: ReadonlyArray<string>
}

export type Row = Record<string, unknown>

export class WasmDatabase {
  private readonly pointer: number
  private readonly statements = new Map<string, Statement>()
  private closed = false

  constructor(
    private readonly wasm: WasmModule,
    name: string
  ) {
    const text = this.put(encoder.encode(`${name}\0`))
    const target = wasm._malloc(4)
    const code = wasm._sqlite3_open_v2(text, target, openFlags, 0)
    this.pointer = wasm.HEAP32[target >>> 2] as number
    wasm._free(text)
    wasm._free(target)
    if (code !== resultCode.ok) {
      const error = this.errorOf(code)
      this.close()
      throw error
    }
    wasm._sqlite3_extended_result_codes(this.pointer, 1)
  }

  execute(text: string, values: ReadonlyArray<unknown>): Array<Row> {
    const { pointer, columns } = this.prepared(text)
    const { wasm } = this
    const rows: Array<Row> = []
    try {
      for (const [at, value] of values.entries()) this.bind(pointer, at + 1, value)
      for (;;) {
        const code = wasm._sqlite3_step(pointer)
        if (code === resultCode.done) return rows
        if (code !== resultCode.row) throw this.errorOf(code)
        const row: Row = {}
        for (const [at, column] of columns.entries()) row[column] = this.value(pointer, at)
        rows.push(row)
      }
    } finally {
      wasm._sqlite3_reset(pointer)
    }
  }

  /** Frees all it has. The disk may be gone. */
  close(): void {
    if (this.closed) return
    this.closed = true
    for (const { pointer } of this.statements.values()) this.wasm._sqlite3_finalize(pointer)
    this.statements.clear()
    this.wasm._sqlite3_close_v2(this.pointer)
  }

  private prepared(text: string): Statement {
    if (this.closed) throw new WasmSqliteError("the database is closed", "SQLITE_MISUSE")
    const known = this.statements.get(text)
    if (known !== undefined) return known
    const { wasm } = this
    const source = this.put(encoder.encode(`${text}\0`))
    const target = wasm._malloc(4)
    const code = wasm._sqlite3_prepare_v2(this.pointer, source, -1, target, 0)
    const pointer = wasm.HEAP32[target >>> 2] as number
    wasm._free(source)
    wasm._free(target)
    if (code !== resultCode.ok || pointer === 0) throw this.errorOf(code)
    const columns = Array.from({ length: wasm._sqlite3_column_count(pointer) }, (_, at) =>
      wasm.UTF8ToString(wasm._sqlite3_column_name(pointer, at))
    )
    const statement = { pointer, columns }
    this.statements.set(text, statement)
    return statement
  }

  private bind(statement: number, at: number, value: unknown): void {
    const { wasm } = this
    let code: number
    if (typeof value === "number") {
      code = Number.isSafeInteger(value)
        ? wasm._sqlite3_bind_int64(statement, at, value | 0, Math.floor(value / 2 ** 32))
        : wasm._sqlite3_bind_double(statement, at, value)
    } else if (typeof value === "string" || value instanceof Uint8Array) {
      const bytes = typeof value === "string" ? encoder.encode(value) : value
      const source = this.put(bytes)
      code =
        typeof value === "string"
          ? wasm._sqlite3_bind_text(statement, at, source, bytes.length, transient)
          : wasm._sqlite3_bind_blob(statement, at, source, bytes.length, transient)
      wasm._free(source)
    } else if (value === null) {
      code = wasm._sqlite3_bind_null(statement, at)
    } else {
      throw new TypeError(`SQLite holds no ${typeof value}`)
    }
    if (code !== resultCode.ok) throw this.errorOf(code)
  }

  private value(statement: number, column: number): unknown {
    const { wasm } = this
    switch (wasm._sqlite3_column_type(statement, column)) {
      case columnType.integer: {
        const low = wasm._sqlite3_column_int64(statement, column)
        const value = wasm.getTempRet0() * 2 ** 32 + (low >>> 0)
        if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`)
        return value
      }
      case columnType.float:
        return wasm._sqlite3_column_double(statement, column)
      case columnType.text:
        return this.bytes(statement, column).toString("utf8")
      case columnType.blob:
        return this.bytes(statement, column)
      default:
        return null
    }
  }

  private bytes(statement: number, column: number): Buffer {
    const at = this.wasm._sqlite3_column_blob(statement, column)
    return Buffer.from(this.wasm.HEAPU8.subarray(at, at + this.wasm._sqlite3_column_bytes(statement, column)))
  }

  /** Bytes in the module's memory, to be freed. */
  private put(bytes: Uint8Array): number {
    const pointer = this.wasm._malloc(Math.max(1, bytes.length))
    this.wasm.HEAPU8.set(bytes, pointer)
    return pointer
  }

  private errorOf(code: number): WasmSqliteError {
    const name = nameByCode[code] ?? nameByCode[code & 0xff] ?? `SQLITE_${code}`
    return new WasmSqliteError(this.wasm.UTF8ToString(this.wasm._sqlite3_errmsg(this.pointer)), name)
  }
}

/**
 * SQLite compiled to wasm, as the package `@effect/wa-sqlite` has it: one module for the whole process, its C functions, and values in
 * and out of its memory.
 */
import { createRequire } from "node:module"
import { dirname } from "node:path"
import { pathToFileURL } from "node:url"
import { readWhole } from "@effectmq/storage/Disk"
import * as NodeDisk from "@effectmq/storage/NodeDisk"

export const resultCode = {
  ok: 0,
  busy: 5,
  ioError: 10,
  notFound: 12,
  full: 13,
  cantOpen: 14,
  row: 100,
  done: 101
} as const

export const ioError = {
  read: 266,
  shortRead: 522,
  write: 778,
  sync: 1034,
  directorySync: 1290,
  truncate: 1546,
  size: 1802,
  delete: 2570,
  access: 3338,
  deleteMissing: 5898
} as const

export const columnType = { integer: 1, float: 2, text: 3, blob: 4 } as const

/** What of the module is used. 64-bit integers are two of 32, low first. */
export interface WasmModule {
  readonly HEAPU8: Uint8Array
  readonly HEAP32: Int32Array
  readonly HEAPF64: Float64Array
  _malloc(bytes: number): number
  _free(pointer: number): void
  getTempRet0(): number
  UTF8ToString(pointer: number): string
  /** `vfs` has methods xOpen, xRead ... and `name`, `mxPathname`. */
  vfs_register(vfs: object, makeDefault: boolean): number
  _sqlite3_initialize(): number
  _sqlite3_open_v2(name: number, target: number, flags: number, vfs: number): number
  _sqlite3_close_v2(database: number): number
  _sqlite3_extended_result_codes(database: number, on: number): number
  _sqlite3_errmsg(database: number): number
  _sqlite3_randomness(bytes: number, target: number): void
  _sqlite3_prepare_v2(database: number, text: number, bytes: number, target: number, tail: number): number
  _sqlite3_finalize(statement: number): number
  _sqlite3_reset(statement: number): number
  _sqlite3_step(statement: number): number
  _sqlite3_bind_null(statement: number, at: number): number
  _sqlite3_bind_int64(statement: number, at: number, low: number, high: number): number
  _sqlite3_bind_double(statement: number, at: number, value: number): number
  _sqlite3_bind_text(statement: number, at: number, text: number, bytes: number, destructor: number): number
  _sqlite3_bind_blob(statement: number, at: number, data: number, bytes: number, destructor: number): number
  _sqlite3_bind_parameter_count(statement: number): number
  _sqlite3_column_count(statement: number): number
  _sqlite3_column_name(statement: number, column: number): number
  _sqlite3_column_type(statement: number, column: number): number
  _sqlite3_column_int64(statement: number, column: number): number
  _sqlite3_column_double(statement: number, column: number): number
  _sqlite3_column_blob(statement: number, column: number): number
  _sqlite3_column_bytes(statement: number, column: number): number
}

const require = createRequire(import.meta.url)

const load = async (): Promise<WasmModule> => {
  const entry = require.resolve("@effect/wa-sqlite/dist/wa-sqlite.mjs")
  const wasmBinary = await readWhole(NodeDisk.make, `${dirname(entry)}/wa-sqlite.wasm`)
  const { default: make } = (await import(/* @vite-ignore */ pathToFileURL(entry).href)) as {
    readonly default: (options: { readonly wasmBinary: Uint8Array | undefined }) => Promise<WasmModule>
  }
  return make({ wasmBinary })
}

let loaded: Promise<WasmModule> | undefined

/** The same one for everybody. */
export const loadWasm = (): Promise<WasmModule> => {
  loaded ??= load()
  return loaded
}

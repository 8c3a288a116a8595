/**
 * The disk of this machine, over `node:fs`.
 *
 * A directory's lock is an exclusive SQLite transaction on its file `lock`: a lock of the system, so it ends with the process, holds
 * between containers that share a volume, and is no file that a crash leaves behind. `lock.owner` only says whom to ask.
 */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { pid } from "node:process"
import * as Layer from "effect/Layer"
import { Disk, DiskError, type DiskErrorCode, type DiskFile, type DiskService } from "./Disk.js"

interface OpenFile extends DiskFile {
  readonly descriptor: number
}

interface Sqlite {
  new (path: string, options: { timeout: number }): { exec(statement: string): void; close(): void }
}

const toDiskError = (action: string, path: string, cause: unknown): DiskError => {
  const code = (cause as NodeJS.ErrnoException).code
  const known: DiskErrorCode = code === "ENOENT" ? "ENOENT" : code === "ENOSPC" || code === "EDQUOT" ? "ENOSPC" : "EIO"
  return new DiskError(known, `cannot ${action} ${path}: ${(cause as Error).message}`, cause)
}

const attempt = <A>(action: string, path: string, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw toDiskError(action, path, cause)
  }
}

const settle = <A>(action: string, path: string, run: (done: (error: Error | null, value?: A) => void) => void): Promise<A> =>
  new Promise<A>((resolve, reject) =>
    run((error, value) => (error === null ? resolve(value as A) : reject(toDiskError(action, path, error))))
  )

const descriptorOf = (file: DiskFile): number => (file as OpenFile).descriptor

const lockDirectory = (directory: string): (() => void) => {
  const ownerPath = join(directory, "lock.owner")
  const Database = createRequire(import.meta.url)("better-sqlite3") as Sqlite
  const database = attempt("open the lock of", directory, () => new Database(join(directory, "lock"), { timeout: 0 }))
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
  } catch (cause) {
    database.close()
    if (!String((cause as { code?: unknown }).code).startsWith("SQLITE_BUSY")) throw toDiskError("lock", directory, cause)
    let owner = "another process"
    try {
      owner = `process ${fs.readFileSync(ownerPath, "utf8").trim()}`
    } catch {
      // The holder is just writing its name; the lock counts, not the name.
    }
    throw new DiskError("ELOCKED", `the directory ${directory} is in use by ${owner}`)
  }
  attempt("write", ownerPath, () => fs.writeFileSync(ownerPath, `${pid}\n`))
  return () => database.close()
}

/** Not with `recursive`: that tries for ever where the system says ENOENT though the folder above is there, as below /proc. */
const makeDirectories = (path: string): void => {
  try {
    fs.mkdirSync(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EEXIST" && fs.statSync(path).isDirectory()) return
    const above = dirname(path)
    if (code !== "ENOENT" || fs.existsSync(above)) throw cause
    makeDirectories(above)
    makeDirectories(path)
  }
}

export const make: DiskService = {
  makeDirectory: (path) => attempt("make the directory", path, () => makeDirectories(path)),
  list: (directory) => attempt("list", directory, () => fs.readdirSync(directory)),
  open: (path, mode) => {
    const flags = mode === "read" ? fs.constants.O_RDONLY : fs.constants.O_RDWR | fs.constants.O_CREAT
    const file: OpenFile = { path, descriptor: attempt("open", path, () => fs.openSync(path, flags, 0o640)) }
    return file
  },
  close: (file) => attempt("close", file.path, () => fs.closeSync(descriptorOf(file))),
  sizeBytes: (file) => attempt("look at", file.path, () => fs.fstatSync(descriptorOf(file)).size),
  writev: (file, buffers, position) =>
    attempt("write to", file.path, () => fs.writevSync(descriptorOf(file), buffers as Array<Uint8Array>, position)),
  write: (file, buffer, position) =>
    settle("write to", file.path, (done) => fs.write(descriptorOf(file), buffer, 0, buffer.length, position, done)),
  read: (file, target, position) =>
    settle("read", file.path, (done) => fs.read(descriptorOf(file), target, 0, target.length, position, done)),
  sync: (file) => settle("sync", file.path, (done) => fs.fdatasync(descriptorOf(file), done)),
  rename: (from, to) => attempt("rename", from, () => fs.renameSync(from, to)),
  unlink: (path) => attempt("remove", path, () => fs.unlinkSync(path)),
  syncDirectory: async (path) => {
    const descriptor = attempt("open", path, () => fs.openSync(path, fs.constants.O_RDONLY))
    try {
      await settle<void>("sync", path, (done) => fs.fsync(descriptor, done))
    } finally {
      fs.closeSync(descriptor)
    }
  },
  lock: lockDirectory
}

export const layer: Layer.Layer<Disk> = Layer.succeed(Disk, make)

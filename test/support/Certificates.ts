/**
 * An authority, a certificate for localhost and one for a client, made by openssl for one test run.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Certificates {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
  readonly clientCertFile: string
  readonly clientKeyFile: string
  readonly remove: () => void
}

export const makeCertificates = (): Certificates => {
  const folder = mkdtempSync(join(tmpdir(), "effectmq-certificates-"))
  const openssl = (...args: ReadonlyArray<string>) => {
    const result = spawnSync("openssl", args, { cwd: folder })
    if (result.status !== 0) throw new Error(`openssl ${args[0]}: ${String(result.stderr)}`)
  }
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  writeFileSync(join(folder, "server.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
  openssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test Authority", "-days", "2")
  for (const [name, subject] of [
    ["server", "/CN=localhost"],
    ["client", "/CN=client-one"]
  ] as const) {
    openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject)
    const extension = name === "server" ? ["-extfile", "server.ext"] : []
    const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...signed, ...extension)
  }
  return {
    caFile: join(folder, "ca.pem"),
    certFile: join(folder, "server.pem"),
    keyFile: join(folder, "server.key"),
    clientCertFile: join(folder, "client.pem"),
    clientKeyFile: join(folder, "client.key"),
    remove: () => rmSync(folder, { recursive: true, force: true })
  }
}

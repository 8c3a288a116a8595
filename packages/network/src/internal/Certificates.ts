/**
 * Reads the PEM files of a TLS listener: the one place in this package that touches files.
 */
import { readFile, stat } from "node:fs/promises"
import type { SecureContextOptions } from "node:tls"
import type { PemSource, TlsOptions } from "../TlsOptions.js"

const pemText = (source: PemSource): Promise<string> =>
  "pem" in source ? Promise.resolve(source.pem) : readFile(source.file, "utf8")

const sourcesOf = (options: TlsOptions): ReadonlyArray<PemSource> => [
  options.certificate,
  options.key,
  ...(options.clientAuthorities === undefined ? [] : [options.clientAuthorities])
]

/** Rejects with the system's error, which names the file. */
export const readCertificates = async (options: TlsOptions): Promise<SecureContextOptions> => {
  const [cert, key, ca] = await Promise.all(sourcesOf(options).map(pemText))
  return {
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    ...(options.keyPassphrase === undefined ? {} : { passphrase: options.keyPassphrase }),
    minVersion: options.minVersion ?? "TLSv1.2"
  }
}

export const readsFiles = (options: TlsOptions): boolean => sourcesOf(options).some((source) => "file" in source)

/** Changes when one of the files does. */
export const certificatesVersion = async (options: TlsOptions): Promise<string> => {
  const versions = sourcesOf(options).map(async (source) => {
    if ("pem" in source) return ""
    const { ino, mtimeMs, size } = await stat(source.file)
    return `${ino}:${mtimeMs}:${size}`
  })
  return (await Promise.all(versions)).join(" ")
}

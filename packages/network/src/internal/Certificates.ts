/**
 * Reads the PEM files of a TLS listener: the one place in this package that touches files.
 */
import { createPrivateKey, X509Certificate } from "node:crypto"
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

const nameOf = (source: PemSource): string => ("pem" in source ? "given" : source.file)

const judged = <A>(what: string, source: PemSource, read: () => A): A => {
  try {
    return read()
  } catch (cause) {
    throw new Error(`the ${what} ${nameOf(source)} cannot be used: ${(cause as Error).message}`, { cause })
  }
}

/** Rejects with an error that names the file. */
export const readCertificates = async (options: TlsOptions): Promise<SecureContextOptions> => {
  const { certificate, clientAuthorities, keyPassphrase } = options
  const [cert = "", key = "", ca] = await Promise.all(sourcesOf(options).map(pemText))
  const first = judged("certificate", certificate, () => new X509Certificate(cert))
  const secret = judged("key", options.key, () =>
    createPrivateKey({ key, ...(keyPassphrase === undefined ? {} : { passphrase: keyPassphrase }) })
  )
  if (!first.checkPrivateKey(secret))
    throw new Error(`the key ${nameOf(options.key)} is not that of the certificate ${nameOf(certificate)}`)
  if (ca !== undefined && clientAuthorities !== undefined) judged("authority", clientAuthorities, () => new X509Certificate(ca))
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

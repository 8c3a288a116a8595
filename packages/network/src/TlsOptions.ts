/**
 * Certificates and demands of a TLS listener.
 */

/** A PEM text itself, or the file that holds it; a file is read again when it changes. */
export type PemSource = { readonly pem: string } | { readonly file: string }

export interface TlsOptions {
  /** The server's certificate, followed by those of its issuers. */
  readonly certificate: PemSource
  readonly key: PemSource
  readonly keyPassphrase?: string | undefined
  /** Who may issue client certificates. Needed when they are asked for. */
  readonly clientAuthorities?: PemSource | undefined
  /**
   * - `none`: not asked for (the default).
   * - `optional`: asked for; a client without one may come in, a client with a bad one may not.
   * - `required`: only clients with a certificate of `clientAuthorities` may come in.
   */
  readonly clientCertificate?: "none" | "optional" | "required" | undefined
  /** Default `TLSv1.2`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  /** How often files are looked at for changes; 0 never. Default 30 s. */
  readonly reloadCheckIntervalMs?: number | undefined
}

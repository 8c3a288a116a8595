/**
 * Why two nodes do not come together over TLS, in words that tell an operator which setting to look at.
 *
 * OpenSSL's own text stays in parentheses, where it says more.
 */
const onAllOrNone = "cluster.tls.certFile, cluster.tls.keyFile and cluster.tls.caFile are to be set on all nodes or on none"

export const speaksTls = `it speaks TLS and this node does not: ${onAllOrNone}`
const speaksNoTls = `it does not speak TLS and this node does: ${onAllOrNone}`
/**
 * A host that does not like a certificate ends the connection when the caller already thinks that all is well. Or it just stopped, as
 * may be with the other one, too.
 */
export const mayNotTrust = "(over TLS: is this node's certificate one of the authorities that the other node trusts?)"
export const maySpeakTls = "(does it speak TLS, and this node not?)"

/** Whether what was read as the length of a frame is the beginning of a TLS record: its type, then the version 3. */
export const isTlsRecord = (length: number): boolean => {
  const type = length >>> 24
  return type >= 0x14 && type <= 0x17 && ((length >>> 16) & 0xff) === 3
}

const strangeCertificates: ReadonlySet<string> = new Set([
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])

/** Of a call over TLS that failed. */
export const calledOverTls = (code: string | undefined, text: string): string => {
  if (text.includes("before secure TLS connection"))
    return "it ended the connection where TLS was to begin: does it speak TLS, as this node does?"
  if (/wrong version number|packet length too long|unknown protocol/.test(text)) return speaksNoTls
  return code !== undefined && strangeCertificates.has(code)
    ? `its certificate is of none of the authorities in this node's cluster.tls.caFile (${text})`
    : text
}

/** Of a connection of another that did not get through TLS. */
export const refusedByTls = (reason: "tls-handshake" | "client-certificate", detail: string): string => {
  if (reason === "client-certificate")
    return detail === "none presented"
      ? "it shows no certificate"
      : `its certificate is not one of the authorities in this node's cluster.tls.caFile (${detail})`
  if (/wrong version number|http request|packet length too long|unknown protocol|unsupported protocol/.test(detail))
    return speaksNoTls
  if (/alert (unknown ca|bad certificate|certificate unknown|certificate expired)/.test(detail))
    return `it does not take this node's certificate: is that of the authorities in its cluster.tls.caFile? (${detail})`
  return `it did not go through with TLS: does it take this node's certificate? (${detail})`
}

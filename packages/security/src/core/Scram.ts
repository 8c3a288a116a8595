/**
 * SCRAM (RFC 5802; RFC 7677 for SHA-256), both sides, without channel binding.
 *
 *     client  n,,n=<user>,r=<client nonce>
 *     server  r=<client nonce><server nonce>,s=<salt>,i=<iterations>
 *     client  c=<gs2 header>,r=<both nonces>,p=<proof>
 *     server  v=<server signature>            or  e=<error>
 *
 * Pure: nonces and the salted password (PBKDF2, slow) are arguments. The server keeps StoredKey and ServerKey, from which
 * neither the password nor the client's proof can be had.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto"

/** SHA-1 is here for RFC 5802's vectors; no authenticator offers it. */
export type ScramHash = "sha1" | "sha256" | "sha512"

export interface ScramKeys {
  readonly salt: Uint8Array
  readonly iterations: number
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

/** The error words of RFC 5802 section 7 that are used here. */
export type ScramError =
  | "invalid-encoding"
  | "extensions-not-supported"
  | "invalid-proof"
  | "channel-bindings-dont-match"
  | "server-does-not-support-channel-binding"
  | "other-error"

export interface ScramFailure {
  readonly failed: ScramError
}

export interface ClientFirst {
  /** `n,,` or `y,,`, with the authorization identity. */
  readonly gs2Header: string
  readonly user: string
  /** Who the client wants to act as; undefined: itself. */
  readonly authorizationIdentity: string | undefined
  readonly nonce: string
  /** The message without the gs2 header: a part of what is signed. */
  readonly bare: string
}

/** What the server remembers between its first message and the client's last. */
export interface ServerChallenge {
  readonly gs2Header: string
  readonly nonce: string
  /** The two messages so far, as they are signed. */
  readonly exchanged: string
  readonly message: string
}

const messageLengthMax = 4096
export const iterationsMin = 4096
export const iterationsMax = 1_000_000

const hmac = (hash: ScramHash, key: Uint8Array, text: string | Uint8Array): Buffer => createHmac(hash, key).update(text).digest()
const digest = (hash: ScramHash, bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest()
const fail = (failed: ScramError): ScramFailure => ({ failed })

const xor = (a: Uint8Array, b: Uint8Array): Buffer => {
  const result = Buffer.alloc(a.length)
  for (let i = 0; i < a.length; i++) result[i] = (a[i] as number) ^ (b[i] as number)
  return result
}

/** RFC 5802 section 3: StoredKey and ServerKey of a salted password. */
export const keysOf = (
  hash: ScramHash,
  saltedPassword: Uint8Array
): { readonly storedKey: Uint8Array; readonly serverKey: Uint8Array } => ({
  storedKey: digest(hash, hmac(hash, saltedPassword, "Client Key")),
  serverKey: hmac(hash, saltedPassword, "Server Key")
})

const encodeName = (name: string): string => name.replace(/=/g, "=3D").replace(/,/g, "=2C")

/** undefined where a `=` stands for neither of the two. */
const decodeName = (text: string): string | undefined =>
  /=(?!2C|3D)/.test(text) ? undefined : text.replace(/=2C/g, ",").replace(/=3D/g, "=")

/** RFC 5802 section 5.1: printable ASCII without the comma. */
const isNonce = (text: string): boolean => /^[\u0021-\u002b\u002d-\u007e]{8,512}$/.test(text)

const decodeBase64 = (text: string): Buffer | undefined =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text) ? Buffer.from(text, "base64") : undefined

const encodeBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

/** The value of `<name>=<value>`; undefined where the part has another name. */
const attribute = (part: string | undefined, name: string): string | undefined =>
  part?.startsWith(`${name}=`) === true ? part.slice(2) : undefined

export const parseClientFirst = (message: string): ClientFirst | ScramFailure => {
  if (message.length > messageLengthMax) return fail("invalid-encoding")
  const parts = message.split(",")
  const [binding, identity, name, nonceText, ...extensions] = parts
  if (binding?.startsWith("p=") === true) return fail("server-does-not-support-channel-binding")
  if (binding !== "n" && binding !== "y") return fail("invalid-encoding")
  if (name?.startsWith("m=") === true) return fail("extensions-not-supported")
  const user = decodeName(attribute(name, "n") ?? "")
  const nonce = attribute(nonceText, "r")
  const authorizationIdentity = identity === "" ? undefined : decodeName(attribute(identity, "a") ?? "")
  if (user === undefined || user === "" || nonce === undefined || !isNonce(nonce)) return fail("invalid-encoding")
  if (identity !== "" && (authorizationIdentity === undefined || authorizationIdentity === "")) return fail("invalid-encoding")
  if (extensions.some((part) => !/^[A-Za-z]=/.test(part))) return fail("invalid-encoding")
  const gs2Header = `${binding},${identity},`
  return { gs2Header, user, authorizationIdentity, nonce, bare: message.slice(gs2Header.length) }
}

/**
 * @param serverNonce at least 18 random characters, printable and without a comma
 */
export const challenge = (
  first: ClientFirst,
  keys: { readonly salt: Uint8Array; readonly iterations: number },
  serverNonce: string
): ServerChallenge => {
  const nonce = first.nonce + serverNonce
  const message = `r=${nonce},s=${encodeBase64(keys.salt)},i=${keys.iterations}`
  return { gs2Header: first.gs2Header, nonce, exchanged: `${first.bare},${message}`, message }
}

/** Checks the client's proof; gives the server's last message where it holds. Takes the same time for every wrong proof. */
export const verifyClientFinal = (
  hash: ScramHash,
  challenge: ServerChallenge,
  keys: ScramKeys,
  message: string
): { readonly message: string } | ScramFailure => {
  if (message.length > messageLengthMax) return fail("invalid-encoding")
  const proofAt = message.lastIndexOf(",p=")
  if (proofAt < 0) return fail("invalid-encoding")
  const [binding, nonce, ...extensions] = message.slice(0, proofAt).split(",")
  const proof = decodeBase64(message.slice(proofAt + 3))
  const boundHeader = decodeBase64(attribute(binding, "c") ?? "?")
  if (proof === undefined || boundHeader === undefined || attribute(nonce, "r") === undefined) return fail("invalid-encoding")
  if (extensions.some((part) => !/^[A-Za-z]=/.test(part))) return fail("invalid-encoding")
  if (boundHeader.toString("utf8") !== challenge.gs2Header) return fail("channel-bindings-dont-match")
  if (attribute(nonce, "r") !== challenge.nonce) return fail("other-error")
  const signed = `${challenge.exchanged},${message.slice(0, proofAt)}`
  const signature = hmac(hash, keys.storedKey, signed)
  if (proof.length !== signature.length || keys.storedKey.length !== signature.length) return fail("invalid-proof")
  if (!timingSafeEqual(digest(hash, xor(proof, signature)), keys.storedKey)) return fail("invalid-proof")
  return { message: `v=${encodeBase64(hmac(hash, keys.serverKey, signed))}` }
}

/** The client's first message. */
export const clientFirst = (user: string, nonce: string): string => `n,,n=${encodeName(user)},r=${nonce}`

export interface ServerFirst {
  readonly nonce: string
  readonly salt: Uint8Array
  readonly iterations: number
}

/** For the client: reads the challenge, and refuses one that is too cheap or endless to answer. */
export const parseServerFirst = (clientNonce: string, message: string): ServerFirst | ScramFailure => {
  const [nonceText, saltText, iterationsText] = message.split(",")
  const nonce = attribute(nonceText, "r")
  const salt = decodeBase64(attribute(saltText, "s") ?? "?")
  const iterations = /^[1-9]\d{0,9}$/.test(attribute(iterationsText, "i") ?? "") ? Number(iterationsText?.slice(2)) : 0
  if (nonce === undefined || salt === undefined || salt.length === 0) return fail("invalid-encoding")
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length) return fail("other-error")
  if (iterations < iterationsMin || iterations > iterationsMax) return fail("other-error")
  return { nonce, salt, iterations }
}

/** For the client: its last message, and what the server has to answer. */
export const clientFinal = (
  hash: ScramHash,
  first: string,
  serverFirst: string,
  saltedPassword: Uint8Array
): { readonly message: string; readonly expected: string } => {
  const gs2Header = "n,,"
  const nonce = attribute(serverFirst.split(",")[0], "r") ?? ""
  const withoutProof = `c=${encodeBase64(Buffer.from(gs2Header))},r=${nonce}`
  const signed = `${first.slice(gs2Header.length)},${serverFirst},${withoutProof}`
  const clientKey = hmac(hash, saltedPassword, "Client Key")
  const proof = xor(clientKey, hmac(hash, digest(hash, clientKey), signed))
  const serverSignature = hmac(hash, keysOf(hash, saltedPassword).serverKey, signed)
  return { message: `${withoutProof},p=${encodeBase64(proof)}`, expected: `v=${encodeBase64(serverSignature)}` }
}

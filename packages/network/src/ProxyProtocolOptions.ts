/**
 * Who may say, by the PROXY protocol (v1 or v2), that it speaks for another address.
 */
export interface ProxyProtocolOptions {
  /**
   * - `off`: no header is looked for.
   * - `optional`: a trusted address may begin with a header; all others are taken as they are.
   * - `required`: only trusted addresses may connect, and they must begin with a header.
   */
  readonly mode: "off" | "optional" | "required"
  /** Addresses and networks of the proxies: `10.0.0.0/8`, `::1`. Must not be empty unless `off`. */
  readonly trustedAddresses: ReadonlyArray<string>
}

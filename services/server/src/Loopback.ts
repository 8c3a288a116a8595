/**
 * Which addresses are this machine itself.
 */
import { isIP } from "node:net"

/** True for 127.0.0.0/8 and ::1, also where written as IPv6, and for `localhost`. */
export const isLoopback = (address: string): boolean => {
  const plain = address.replace(/^::ffff:/i, "")
  return plain === "::1" || plain === "localhost" || (isIP(plain) === 4 && plain.startsWith("127."))
}

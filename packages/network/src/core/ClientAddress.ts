/** One spelling for one address: IPv4 inside IPv6 is IPv4, letters are small, a zone is cut off. */
export const clientAddress = (address: string | undefined): string => {
  if (address === undefined) return ""
  const zone = address.indexOf("%")
  const bare = (zone < 0 ? address : address.slice(0, zone)).toLowerCase()
  return bare.startsWith("::ffff:") && bare.includes(".") ? bare.slice(7) : bare
}

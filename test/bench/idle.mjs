/**
 * Opens many clients that do nothing, says so, and holds them until its input ends.
 */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export const idle = async (options, { openAll, open }) => {
  const startedAt = performance.now()
  const clients = await openAll(options.connections, (index) => open(`${options.run}-i${index}`, { keepAliveSeconds: 3600 }), 200)
  const seconds = (performance.now() - startedAt) / 1000
  await sleep(options.warmUpMs)
  process.stderr.write("measuring\n")
  await new Promise((resolve) => process.stdin.on("end", resolve).resume())
  return { connections: clients.filter((client) => !client.closed).length, connectSeconds: seconds }
}

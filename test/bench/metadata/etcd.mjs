/**
 * The peer: etcd from Debian, one node or three, with 64 clients that put small values over its HTTP gateway and wait for each answer.
 */
import { spawnSync } from "node:child_process"
import { Agent, request } from "node:http"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { remove, temporaryFolder } from "../peers.mjs"
import { freePort, start, stop, untilReady } from "../processes.mjs"

export const etcdVersion = () => /etcd Version: (\S+)/.exec(String(spawnSync("etcd", ["--version"]).stdout ?? ""))?.[1]

const post = (agent, port, path, body) =>
  new Promise((resolve, reject) => {
    const asked = request({ agent, port, host: "127.0.0.1", path, method: "POST" }, (answer) => {
      answer.resume()
      answer.on("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(`etcd answered ${answer.statusCode}`))))
    })
    asked.on("error", reject)
    asked.end(body)
  })

export const measureEtcd = async (count, { clients, reads, warmUpMs, durationMs }) => {
  const folder = temporaryFolder()
  const nodes = []
  for (let at = 0; at < count; at++) nodes.push({ name: `n${at}`, client: await freePort(), peer: await freePort() })
  const cluster = nodes.map(({ name, peer }) => `${name}=http://127.0.0.1:${peer}`).join(",")
  const children = nodes.map(({ name, client, peer }) =>
    start(undefined, "etcd", [
      ...["--name", name, "--data-dir", join(folder, name), "--log-level", "error"],
      ...["--listen-client-urls", `http://127.0.0.1:${client}`, "--advertise-client-urls", `http://127.0.0.1:${client}`],
      ...["--listen-peer-urls", `http://127.0.0.1:${peer}`, "--initial-advertise-peer-urls", `http://127.0.0.1:${peer}`],
      ...["--initial-cluster", cluster, "--initial-cluster-state", "new"]
    ])
  )
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const port = nodes[0].client
  try {
    const base64 = (text) => Buffer.from(text).toString("base64")
    const put = (number) =>
      post(agent, port, "/v3/kv/put", JSON.stringify({ key: base64(`k${number % 1000}`), value: base64(`v${number}`) }))
    const range = () => post(agent, port, "/v3/kv/range", JSON.stringify({ key: base64("k1") }))
    await untilReady(
      children[0],
      () =>
        put(1).then(
          () => true,
          () => false
        ),
      30
    )
    const times = []
    const from = performance.now() + warmUpMs
    const until = from + durationMs
    let issued = 0
    const client = async () => {
      while (performance.now() < until) {
        const at = performance.now()
        await (reads ? range() : put(++issued))
        const done = performance.now()
        if (done >= from && done < until) times.push(done - at)
      }
    }
    await Promise.all(Array.from({ length: clients }, client))
    times.sort((a, b) => a - b)
    return { perSecond: times.length / (durationMs / 1000), p99: times[Math.floor(0.99 * times.length)] }
  } finally {
    agent.destroy()
    await Promise.all(children.map((child) => stop(child, "SIGKILL")))
    remove(folder)
  }
}

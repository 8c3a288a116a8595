/**
 * The dynamic key of users that are named by their certificates, on a broker that asks for them.
 */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect } from "vitest"
import { startBroker } from "./broker.js"
import type { DynamicWorld } from "./DynamicWorld.js"
import { RawClient, unique } from "./RawClient.js"

const fixture = (name: string) => fileURLToPath(new URL(`../../packages/network/test/fixtures/${name}`, import.meta.url))

export const dynamicCertificates = ({ shows }: DynamicWorld): void => {
  shows("auth.certificateUsers", "a certificate names the user, or nobody", async () => {
    const broker = await startBroker({
      "mqtt.tls.port": 0,
      "mqtt.tls.certFile": fixture("server.pem"),
      "mqtt.tls.keyFile": fixture("server.key.pem"),
      "mqtt.tls.caFile": fixture("authority.pem"),
      "mqtt.tls.clientCertificate": "optional"
    })
    try {
      const api = (method: string, path: string, body?: unknown) =>
        fetch(`http://127.0.0.1:${broker.adminPort}/api/v1/${path}`, {
          method,
          ...(body === undefined ? {} : { body: JSON.stringify(body) })
        })
      const certified = {
        ca: readFileSync(fixture("authority.pem")),
        cert: readFileSync(fixture("client.pem")),
        key: readFileSync(fixture("client.key.pem")),
        rejectUnauthorized: false
      }
      const clients: Array<RawClient> = []
      const answered = async (clientId: string, tls: typeof certified | { rejectUnauthorized: false }) => {
        const client = await RawClient.open(broker.tlsPort, 5, tls)
        clients.push(client)
        client.send(client.connectPacket({ clientId }))
        return (await client.expectPacket("connack")).reasonCode
      }
      const userOf = async (clientId: string) =>
        ((await (await api("GET", `sessions/${clientId}`)).json()) as { user: string | null }).user
      const [before, named] = [unique(), unique()]
      expect(await answered(before, certified)).toBe(0)
      expect(await userOf(before)).toBe(null)
      expect((await api("PUT", "config/auth.certificateUsers", { value: true })).status).toBeLessThan(300)
      expect(await answered(named, certified)).toBe(0)
      expect(await userOf(named)).toMatch(/./)
      expect(await answered(unique(), { rejectUnauthorized: false })).toBe(0x87)
      expect((await api("DELETE", "config/auth.certificateUsers")).status).toBeLessThan(300)
      expect(await answered(unique(), certified)).toBe(0x87)
      for (const client of clients) client.socket.destroy()
    } finally {
      await broker.stop()
    }
  })
}

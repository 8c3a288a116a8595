/**
 * mosquitto_pub and mosquitto_sub, unchanged, in all three protocol versions.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { type Certificates, makeCertificates } from "../support/Certificates.js"
import { needs, Tool } from "../support/Tool.js"

const canRun = needs("mosquitto clients", "mosquitto_pub", "mosquitto_sub", "openssl")

const versions = ["mqttv31", "mqttv311", "mqttv5"] as const
type Version = (typeof versions)[number]
const levels = [0, 1, 2] as const

describe.runIf(canRun)("mosquitto clients", () => {
  let broker: BrokerProcess
  let certificates: Certificates
  const tools: Array<Tool> = []

  beforeAll(async () => {
    certificates = makeCertificates()
    const { certFile, keyFile, caFile } = certificates
    broker = await BrokerProcess.start({ tls: { certFile, keyFile, caFile } })
  })
  afterEach(() => {
    for (const tool of tools.splice(0)) tool.kill()
  })
  afterAll(async () => {
    await broker?.remove()
    certificates?.remove()
  })

  const address = () => ["-h", "127.0.0.1", "-p", String(broker.port)]
  const secure = () => ["-h", "localhost", "-p", String(broker.tlsPort), "--cafile", certificates.caFile]

  /** Starts mosquitto_sub and waits for its SUBACK; messages come out as `MSG <retained> <qos> <topic> <payload>`. */
  const subscribe = async (version: Version, args: ReadonlyArray<string>, where = address()) => {
    const tool = new Tool("mosquitto_sub", [...where, "-V", version, "-d", "-F", "MSG %r %q %t %p", ...args])
    tools.push(tool)
    await tool.says(/Subscribed \(mid/)
    return tool
  }
  const publish = (version: Version, args: ReadonlyArray<string>, input?: Buffer, where = address()) =>
    Tool.run("mosquitto_pub", [...where, "-V", version, ...args], input)

  for (const version of versions) {
    describe(version, () => {
      for (const qos of levels) {
        it(`delivers QoS ${qos}`, async () => {
          const topic = `${version}/qos/${qos}`
          const subscriber = await subscribe(version, ["-t", topic, "-q", String(qos), "-C", "2"])
          await publish(version, ["-t", topic, "-q", String(qos), "-m", "first"])
          await publish(version, ["-t", topic, "-q", String(qos), "-m", "second"])
          expect(await subscriber.exited).toBe(0)
          expect(subscriber.stdout).toContain(`MSG 0 ${qos} ${topic} first\n`)
          expect(subscriber.stdout).toContain(`MSG 0 ${qos} ${topic} second\n`)
        })
      }

      it("delivers at the lower of both levels", async () => {
        const topic = `${version}/lower`
        const subscriber = await subscribe(version, ["-t", topic, "-q", "1", "-C", "2"])
        await publish(version, ["-t", topic, "-q", "2", "-m", "high"])
        await publish(version, ["-t", topic, "-q", "0", "-m", "low"])
        await subscriber.exited
        expect(subscriber.stdout).toContain(`MSG 0 1 ${topic} high\n`)
        expect(subscriber.stdout).toContain(`MSG 0 0 ${topic} low\n`)
      })

      it("keeps, replaces and clears retained messages", async () => {
        const topic = `${version}/retained`
        await publish(version, ["-t", topic, "-q", "1", "-r", "-m", "old"])
        await publish(version, ["-t", topic, "-q", "1", "-r", "-m", "new"])
        const first = await subscribe(version, ["-t", `${version}/+`, "-q", "1", "-C", "1"])
        await first.exited
        expect(first.stdout).toContain(`MSG 1 1 ${topic} new\n`)
        await publish(version, ["-t", topic, "-q", "1", "-r", "-n"])
        const second = await subscribe(version, ["-t", topic, "-C", "1"])
        await publish(version, ["-t", topic, "-m", "live"])
        await second.exited
        expect(second.stdout.match(/^MSG .*/gm)).toEqual([`MSG 0 0 ${topic} live`])
      })

      it("publishes the will of a client that vanishes, or that says goodbye and asks for it", async () => {
        const topic = `${version}/will`
        // At SIGTERM mosquitto_sub of version 5 disconnects with reason code 0x04, which asks for the will.
        const wills = version === "mqttv5" ? ["goodbye", "vanished"] : ["vanished"]
        const watcher = await subscribe(version, ["-t", topic, "-q", "1", "-C", String(wills.length)])
        const will = (payload: string) => ["--will-topic", topic, "--will-qos", "1", "--will-payload", payload]
        const leaving = await subscribe(version, ["-t", "nothing", ...will("goodbye")])
        leaving.kill("SIGTERM")
        await leaving.exited
        const vanishing = await subscribe(version, ["-t", "nothing", ...will("vanished")])
        vanishing.kill("SIGKILL")
        await watcher.exited
        expect(watcher.stdout.match(/^MSG .*/gm)).toEqual(wills.map((payload) => `MSG 0 1 ${topic} ${payload}`))
      })

      it("keeps messages for a persistent session", async () => {
        const topic = `${version}/kept`
        const session = ["-i", `${version}-kept`, "-c", ...(version === "mqttv5" ? ["-x", "300"] : []), "-t", topic, "-q", "2"]
        const before = await subscribe(version, session)
        before.kill("SIGTERM")
        await before.exited
        await publish(version, ["-t", topic, "-q", "1", "-m", "one"])
        await publish(version, ["-t", topic, "-q", "2", "-m", "two"])
        const after = new Tool("mosquitto_sub", [...address(), "-V", version, "-F", "MSG %q %p", "-C", "2", ...session])
        tools.push(after)
        expect(await after.exited).toBe(0)
        expect(after.stdout).toBe("MSG 1 one\nMSG 2 two\n")
      })

      it("carries a payload of 200 KiB unchanged", async () => {
        const topic = `${version}/large`
        const payload = Buffer.alloc(200 * 1024, "0123456789abcdef")
        const subscriber = new Tool("mosquitto_sub", [...address(), "-V", version, "-t", topic, "-q", "1", "-C", "1", "-N", "-d"])
        tools.push(subscriber)
        await subscriber.says(/Subscribed \(mid/)
        await publish(version, ["-t", topic, "-q", "1", "-s"], payload)
        await subscriber.exited
        expect(subscriber.stdout).toContain(payload.toString())
      })

      it("works over TLS", async () => {
        const topic = `${version}/tls`
        const subscriber = await subscribe(version, ["-t", topic, "-q", "1", "-C", "1"], secure())
        await publish(version, ["-t", topic, "-q", "1", "-m", "sealed"], undefined, secure())
        await subscriber.exited
        expect(subscriber.stdout).toContain(`MSG 0 1 ${topic} sealed\n`)
      })

      it("receives what the two others publish", async () => {
        const topic = `to/${version}`
        const others = versions.filter((other) => other !== version)
        const subscriber = await subscribe(version, ["-t", "to/#", "-q", "2", "-C", String(others.length)])
        for (const other of others) await publish(other, ["-t", topic, "-q", "2", "-m", `from ${other}`])
        await subscriber.exited
        for (const other of others) expect(subscriber.stdout).toContain(`MSG 0 2 ${topic} from ${other}\n`)
      })
    })
  }

  it("shares a subscription between two members", async () => {
    const member = () => subscribe("mqttv5", ["-t", "$share/pair/shared/#", "-q", "1"])
    const members = [await member(), await member()]
    for (let i = 0; i < 10; i++) await publish("mqttv5", ["-t", `shared/${i}`, "-q", "1", "-m", String(i)])
    const received = () => members.flatMap((tool) => tool.stdout.match(/^MSG .*/gm) ?? [])
    await members[0]?.says(/MSG/)
    await members[1]?.says(/MSG/)
    await expect.poll(() => received().length).toBe(10)
    expect(new Set(received()).size).toBe(10)
  })

  it("carries the properties of a version 5 message", async () => {
    const format = "%t|%p|%C|%R|%D|%P|%F"
    const args = ["-V", "mqttv5", "-d", "-t", "properties", "-q", "1", "-C", "1", "-F", `MSG ${format}`]
    const subscriber = new Tool("mosquitto_sub", [...address(), ...args])
    tools.push(subscriber)
    await subscriber.says(/Subscribed \(mid/)
    const property = (...words: ReadonlyArray<string>) => ["-D", "publish", ...words]
    await publish("mqttv5", [
      ...["-t", "properties", "-q", "1", "-m", "body"],
      ...property("content-type", "text/plain"),
      ...property("response-topic", "answers/here"),
      ...property("correlation-data", "c0ffee"),
      ...property("user-property", "colour", "green"),
      ...property("payload-format-indicator", "1")
    ])
    await subscriber.exited
    expect(subscriber.stdout).toContain("MSG properties|body|text/plain|answers/here|c0ffee|colour:green|1\n")
  })
})

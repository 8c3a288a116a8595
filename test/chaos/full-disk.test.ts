/**
 * A disk that is full: writers get an error, readers read on, nothing acknowledged is lost, and once there is room all is well.
 *
 * The disk is a small file system in memory (`SmallDisk`).
 */
import { afterEach, describe, expect, it } from "vitest"
import { BrokerProcess } from "../support/BrokerProcess.js"
import { SessionClient } from "../support/SessionClient.js"
import { SmallDisk } from "../support/SmallDisk.js"
import { until } from "../support/Until.js"

const smallMebibytes = 192
const payload = "x".repeat(64 * 1024)

describe.runIf(SmallDisk.isPermitted("full disk"))("a full disk", () => {
  let disk: SmallDisk | undefined
  let broker: BrokerProcess | undefined
  const clients: Array<SessionClient> = []

  afterEach(async () => {
    for (const client of clients.splice(0)) client.vanish()
    await broker?.remove()
    disk?.unmount()
  })

  const open = async (clientId: string, expirySeconds = 3600) => {
    const client = new SessionClient({ port: broker?.port ?? 0, clientId, expirySeconds })
    clients.push(client)
    await until(() => client.connected, `${clientId} is connected`)
    return client
  }

  it("refuses what it cannot store, serves what it has, and goes on when there is room", { timeout: 180_000 }, async () => {
    disk = SmallDisk.mount(smallMebibytes)
    const { folder: dataDir } = disk
    const settings = { "log.level": "error", "auth.allowAnonymous": true, "mqtt.session.queueMax": 1_000_000 }
    broker = await BrokerProcess.start({ dataDir, settings })
    const slow = await open("slow")
    await slow.subscribe("full/#", 1)
    const away = await open("away")
    await away.subscribe("full/#", 1)
    away.vanish()
    slow.pause()

    const publisher = await open("publisher")
    const acknowledged: Array<string> = []
    let refused = 0
    // Several at a time until some are refused, or until the broker stops to answer for want of room.
    const publishOne = async (number: number) => {
      const code = await publisher.publish("full/data", `${number} ${payload}`, 1)
      if (code < 0x80) acknowledged.push(String(number))
      else refused++
    }
    let number = 0
    const isFull = () => refused > 0 || publisher.faults.length > 0 || publisher.connects > 1
    while (!isFull() && number < (smallMebibytes * 1024) / 16) {
      const some = Array.from({ length: 20 }, () => publishOne(number++))
      await Promise.race([Promise.all(some), until(isFull, "the disk is full", 30_000)])
    }
    expect(isFull()).toBe(true)
    expect(acknowledged.length).toBeGreaterThan(100)
    expect(broker.isRunning).toBe(true)

    // Others go on: QoS 0 and what is stored already.
    const live = await open("live", 0)
    await live.subscribe("live/#", 0)
    const speaker = await open("speaker", 0)
    await until(async () => {
      await speaker.publish("live/one", "hello", 0)
      return live.received.length > 0
    }, "QoS 0 is delivered while the disk is full")
    slow.resume()
    const missingIn = (client: SessionClient) => {
      const there = new Set(client.received.map((message) => message.payload.split(" ")[0]))
      return acknowledged.filter((one) => !there.has(one))
    }
    await until(
      () => missingIn(slow).length === 0,
      () => `what was acknowledged is read; ${missingIn(slow).length} are missing`,
      60_000
    )

    // Room again, and a new start: everything acknowledged is still in order, and it takes new messages.
    for (const client of clients) client.vanish()
    await broker.stop()
    disk.resize(4 * smallMebibytes)
    await broker.start()
    const again = await open("publisher-2")
    expect(await again.publish("full/data", "after", 1)).toBeLessThan(0x80)
    away.comeBack()
    await until(() => away.received.some((message) => message.payload === "after"), "new messages arrive", 60_000)
    expect(missingIn(away)).toEqual([])
  })
})

import { describe, expect, it } from "@effect/vitest"
import { Meters } from "@effectmq/metrics/Meters"
import { layerMemory } from "@effectmq/metrics/PrometheusMeters"
import * as ConnectionLimits from "@effectmq/network/ConnectionLimits"
import { listen } from "@effectmq/network/Listener"
import type { TlsOptions } from "@effectmq/network/TlsOptions"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls"
import { fixture, fixturePath, tcpClient, tlsClient, webSocketClient } from "./support/Clients.js"
import { serverTls } from "./support/Harness.js"
import { echo, makePeers } from "./support/Peer.js"
import { until } from "./support/until.js"

const at = { host: "127.0.0.1", port: 0, drainTimeoutMs: 50 }
const services = Layer.provideMerge(ConnectionLimits.layer(), layerMemory)

const live = (name: string, body: Effect.Effect<void, unknown, Scope | ConnectionLimits.ConnectionLimits | Meters>) =>
  it.scopedLive(name, () => Effect.provide(body, services))

const authorities = { clientAuthorities: { pem: fixture("authority.pem") } }
const goodClient = { cert: fixture("client.pem"), key: fixture("client.key.pem") }
const strangeClient = { cert: fixture("stranger.pem"), key: fixture("stranger.key.pem") }

const start = (tls: Partial<TlsOptions>, kind: "tls" | "wss" = "tls", options: { readonly handshakeTimeoutMs?: number } = {}) =>
  Effect.gen(function* () {
    const { acceptor, peers } = makePeers(echo)
    const listener = yield* listen({ kind, ...at, ...options, tls: { ...serverTls, ...tls } }, acceptor)
    const refused = (reason: string) =>
      Effect.map(Meters, (meters) => meters.snapshot().get(`effectmq_connections_refused_total{reason="${reason}"}`) ?? 0)
    return { peers, listener, port: listener.port, refused }
  })

const tls = (port: number, options: ConnectionOptions = {}) => Effect.tryPromise(() => tlsClient(port, options))

/** The name in the certificate that the server shows. */
const shownName = (port: number): Effect.Effect<string> =>
  Effect.async((resume) => {
    const socket: TLSSocket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      const name = socket.getPeerCertificate().subject.CN
      socket.destroy()
      resume(Effect.succeed(String(name)))
    })
    socket.on("error", () => {})
  })

describe("client certificates", () => {
  live(
    "required: a good one is shown to the protocol",
    Effect.gen(function* () {
      const { peers, port } = yield* start({ ...authorities, clientCertificate: "required" })
      const client = yield* tls(port, goodClient)
      client.write(Buffer.from("hello"))
      yield* until("echo", () => client.received().toString() === "hello")
      expect(peers[0]?.connection.peerCertificate).toEqual({
        commonName: "sensor-1",
        subject: "O=EffectMQ tests,OU=Sensors,CN=sensor-1",
        fingerprint256: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
      })
    })
  )

  for (const [name, options] of [
    ["none", {}],
    ["one by somebody else", strangeClient]
  ] as const)
    live(
      `required: ${name} is refused`,
      Effect.gen(function* () {
        const { peers, port, refused } = yield* start({ ...authorities, clientCertificate: "required" })
        const client = yield* Effect.either(tls(port, options))
        if (client._tag === "Right") yield* until("closed", () => client.right.closed())
        expect(yield* refused("client-certificate")).toBe(1)
        expect(peers.length).toBe(0)
      })
    )

  live(
    "optional: none is fine, a bad one is not",
    Effect.gen(function* () {
      const { peers, port, refused } = yield* start({ ...authorities, clientCertificate: "optional" })
      yield* tls(port)
      yield* until("accepted", () => peers.length === 1)
      expect(peers[0]?.connection.peerCertificate).toBe(undefined)
      yield* tls(port, goodClient)
      yield* until("accepted", () => peers.length === 2)
      expect(peers[1]?.connection.peerCertificate?.commonName).toBe("sensor-1")
      const client = yield* Effect.either(tls(port, strangeClient))
      if (client._tag === "Right") yield* until("closed", () => client.right.closed())
      expect(yield* refused("client-certificate")).toBe(1)
    })
  )

  live(
    "reach the protocol through a secure WebSocket",
    Effect.gen(function* () {
      const { peers, port } = yield* start({ ...authorities, clientCertificate: "required" }, "wss")
      yield* Effect.tryPromise(() => webSocketClient(`wss://127.0.0.1:${port}/mqtt`, ["mqtt"], goodClient))
      yield* until("accepted", () => peers.length === 1)
      expect(peers[0]?.connection.peerCertificate?.commonName).toBe("sensor-1")
      expect(peers[0]?.connection.transport).toBe("wss")
    })
  )
})

describe("handshakes", () => {
  live(
    "that fail are counted and disturb nobody",
    Effect.gen(function* () {
      const { peers, port, refused } = yield* start({ minVersion: "TLSv1.3" })
      const plain = yield* Effect.promise(() => tcpClient(port))
      plain.write(Buffer.from("this is not TLS at all"))
      yield* until("closed", () => plain.closed())
      expect((yield* Effect.either(tls(port, { maxVersion: "TLSv1.2" })))._tag).toBe("Left")
      yield* until("counted", () => peers.length === 0)
      expect(yield* refused("tls-handshake")).toBe(2)
      const client = yield* tls(port)
      client.write(Buffer.from("hello"))
      yield* until("echo", () => client.received().toString() === "hello")
    })
  )

  live(
    "that take too long are ended",
    Effect.gen(function* () {
      const { port, refused } = yield* start({}, "tls", { handshakeTimeoutMs: 10 })
      const silent = yield* Effect.promise(() => tcpClient(port))
      yield* until("closed", () => silent.closed())
      expect((yield* refused("handshake-timeout")) + (yield* refused("tls-handshake"))).toBe(1)
    })
  )
})

describe("certificates", () => {
  live(
    "are read from files, and again when they change",
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "effectmq-tls-"))),
        (made) => Effect.sync(() => rmSync(made, { recursive: true }))
      )
      const certificate = { file: join(folder, "server.pem") }
      const key = { file: join(folder, "server.key.pem") }
      const use = (name: string): void => {
        copyFileSync(fixturePath(`${name}.key.pem`), key.file)
        copyFileSync(fixturePath(`${name}.pem`), certificate.file)
      }
      use("server")
      const watching = yield* start({ certificate, key, reloadCheckIntervalMs: 5 })
      const asked = yield* start({ certificate, key, reloadCheckIntervalMs: 0 })
      const client = yield* tls(watching.port)
      expect(yield* shownName(watching.port)).toBe("localhost")
      use("server2")
      while ((yield* shownName(watching.port)) !== "second.localhost") yield* Effect.yieldNow()
      expect(yield* shownName(asked.port)).toBe("localhost")
      yield* asked.listener.reloadCertificates
      expect(yield* shownName(asked.port)).toBe("second.localhost")
      client.write(Buffer.from("still here"))
      yield* until("echo", () => client.received().toString() === "still here")
      writeFileSync(key.file, "no key")
      const error = yield* Effect.flip(asked.listener.reloadCertificates)
      expect(error.reason).toBe("certificate")
      expect(yield* shownName(asked.port)).toBe("second.localhost")
    })
  )

  for (const [name, options, reason, says] of [
    ["a file that is not there", { certificate: { file: "/nowhere/server.pem" } }, "certificate", "/nowhere/server.pem"],
    ["a file that is no PEM", { certificate: { file: fixturePath("README.md") } }, "certificate", "README.md cannot be used"],
    ["what is no PEM", { key: { pem: "no key" } }, "certificate", "the key given cannot be used"],
    ["authorities that are none", { clientAuthorities: { pem: "x" } }, "certificate", "the authority given cannot be used"],
    [
      "a key of another certificate",
      { key: { pem: fixture("client.key.pem") } },
      "certificate",
      "the key given is not that of the certificate"
    ],
    ["client certificates without authorities", { clientCertificate: "required" }, "invalid-options", "clientAuthorities"]
  ] as const)
    live(
      `that cannot be used are an error: ${name}`,
      Effect.gen(function* () {
        const error = yield* Effect.flip(start(options))
        expect(error.reason).toBe(reason)
        expect(error.message).toContain("cannot listen for tls on 127.0.0.1:0")
        expect(error.message).toContain(says)
      })
    )
})

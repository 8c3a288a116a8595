/**
 * A client in a process of its own that does nothing but talk to itself and ping, one step after the other, and tells how
 * long the longest step took: what everybody else of the broker notices of a test.
 *
 * Over IPC: `{ reset: true }` begins to measure anew, `{ report: true }` is answered with the steps and their times since.
 */
import { createConnection } from "node:net"

const [port, clientId] = [Number(process.argv[2]), process.argv[3]]
const topic = Buffer.from(`witness/${clientId}`)
const text = (bytes) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
const packet = (first, body) => Buffer.concat([Buffer.from([first, body.length]), body])
const hello = packet(0x10, Buffer.concat([text(Buffer.from("MQTT")), Buffer.from([4, 2, 0, 0]), text(Buffer.from(clientId))]))
const subscribe = packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(topic), Buffer.from([1])]))
const publish = packet(0x32, Buffer.concat([text(topic), Buffer.from([0, 9]), Buffer.from("still here")]))
const step = Buffer.concat([publish, Buffer.from([0xc0, 0])])
const pauseMs = 5

let steps = 0
let longestMs = 0
let times = []
let startedAt = 0
let waiting = 0
const begin = () => {
  waiting = 3
  startedAt = performance.now()
  socket.write(step)
}
const answered = () => {
  if (--waiting > 0) return
  const tookMs = performance.now() - startedAt
  steps++
  times.push(tookMs)
  longestMs = Math.max(longestMs, tookMs)
  setTimeout(begin, pauseMs)
}

let rest = Buffer.alloc(0)
const socket = createConnection({ port, host: "127.0.0.1", noDelay: true })
socket.on("connect", () => socket.write(hello))
socket.on("error", () => {})
socket.on("close", () => process.send?.({ closed: true }))
socket.on("data", (chunk) => {
  rest = Buffer.concat([rest, chunk])
  while (rest.length >= 2 && rest.length >= 2 + rest[1]) {
    const frame = rest.subarray(0, 2 + rest[1])
    rest = rest.subarray(frame.length)
    const type = frame[0] >> 4
    if (type === 2) socket.write(subscribe)
    else if (type === 9) {
      process.send({ ready: true })
      begin()
    } else {
      if (type === 3) {
        const at = 4 + topic.length
        socket.write(Buffer.from([0x40, 2, frame[at], frame[at + 1]]))
      }
      answered()
    }
  }
})
process.on("message", (message) => {
  if (message.report) {
    times.sort((a, b) => a - b)
    const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
    // A step that has not come back counts as long as it has been waited for.
    const openMs = waiting > 0 ? performance.now() - startedAt : 0
    process.send({ steps, longestMs: Math.max(longestMs, openMs), medianMs: at(0.5), p99Ms: at(0.99), closed: socket.destroyed })
  }
  if (message.reset) {
    steps = 0
    longestMs = 0
    times = []
  }
})
process.on("disconnect", () => process.exit(0))

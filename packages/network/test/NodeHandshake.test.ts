/** The handshake between nodes, without sockets: who gets in, who does not and what both are told, and what an eavesdropper has. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Belonging } from "../src/core/Belonging.js"
import {
  CallerHandshake,
  type CallerOptions,
  HostHandshake,
  type HostOptions,
  type HandshakeStep,
  handshakeFrameBytesMax,
  nonceBytes
} from "../src/core/NodeHandshake.js"

const secret = "a secret that all nodes know"

const caller = (options: Partial<CallerOptions> = {}) =>
  new CallerHandshake({ nodeId: 1, toNodeId: 2, channel: "raft/1", secret, nonce: Buffer.alloc(nonceBytes, 1), ...options })

const host = (options: Partial<HostOptions> = {}) =>
  new HostHandshake({
    nodeId: 2,
    secret,
    nonce: Buffer.alloc(nonceBytes, 2),
    channels: () => ["raft/1", "metadata/1"],
    full: () => undefined,
    ...options
  })

interface Talked {
  readonly frames: ReadonlyArray<Buffer>
  readonly caller: HandshakeStep | undefined
  readonly host: HandshakeStep | undefined
}

/** Lets them talk until neither has more to say. `change`: what the wire makes of a frame. */
const talk = (one: CallerHandshake, other: HostHandshake, change = (frame: Buffer, _at: number) => frame): Talked => {
  const frames: Array<Buffer> = []
  let frame: Buffer | undefined = one.hello()
  let callerStep: HandshakeStep | undefined
  let hostStep: HandshakeStep | undefined
  const frameOf = (step: HandshakeStep) => (step._tag === "failed" ? undefined : step.frame)
  while (frame !== undefined) {
    frames.push(frame)
    const sent: Buffer = change(frame, frames.length - 1)
    if (frames.length % 2 === 1) {
      hostStep = other.step(sent)
      frame = frameOf(hostStep)
    } else {
      callerStep = one.step(sent)
      frame = frameOf(callerStep)
    }
  }
  return { frames, caller: callerStep, host: hostStep }
}

describe("the handshake between nodes", () => {
  it("lets in who knows the secret, in four small frames that do not hold it", () => {
    const talked = talk(caller(), host())
    expect(talked.caller).toEqual({ _tag: "done", peerNodeId: 2, channel: "raft/1" })
    expect(talked.host).toMatchObject({ _tag: "done", peerNodeId: 1, channel: "raft/1" })
    expect(talked.frames).toHaveLength(4)
    for (const frame of talked.frames) {
      expect(frame.length).toBeLessThanOrEqual(handshakeFrameBytesMax)
      expect(frame.includes(Buffer.from(secret))).toBe(false)
    }
  })

  it("tells both where the secrets differ, and gives the stranger nothing to try guesses on", () => {
    const talked = talk(caller({ secret: "a guess" }), host())
    expect(talked.host).toMatchObject({ _tag: "refused", reason: expect.stringContaining("it says it is node 1") })
    expect(talked.host).toMatchObject({ reason: expect.stringContaining("does not know cluster.secret") })
    expect(talked.caller).toEqual({
      _tag: "failed",
      reason: "the other node refuses: cluster.secret is not the same on both nodes"
    })
    const fromHost = talked.frames.filter((_, at) => at % 2 === 1)
    // Its number and a random nonce; no proof of its own.
    expect(fromHost[0]?.length).toBe(1 + 4 + nonceBytes)
    expect(fromHost).toHaveLength(2)
  })

  it("tells of other versions, other nodes, channels that are not spoken, and too many links", () => {
    const asVersion9 = (frame: Buffer, at: number) => {
      const changed = Buffer.from(frame)
      if (at === 0) changed[4] = 9
      return changed
    }
    const told = (talked: Talked) => (talked.caller?._tag === "failed" ? talked.caller.reason : "")
    expect(told(talk(caller(), host(), asVersion9))).toBe("the other node refuses: it speaks version 9, this node version 1")
    expect(told(talk(caller({ toNodeId: 3 }), host()))).toBe("the other node refuses: it looks for node 3, this is node 2")
    expect(told(talk(caller({ nodeId: 2 }), host()))).toContain("it says it is node 2, which cannot be")
    expect(told(talk(caller({ channel: "raft/2" }), host()))).toBe(
      "the other node refuses: raft/2 is not spoken here, but raft/1"
    )
    expect(told(talk(caller({ channel: "other/1" }), host()))).toBe(
      "the other node refuses: other/1 is not spoken here, or not yet"
    )
    expect(told(talk(caller(), host({ full: () => "it is full" })))).toBe("the other node refuses: it is full")
    // A host that answers for another node, or in another version, does not get the caller's proof.
    const asNode = (frame: Buffer, at: number) => {
      const changed = Buffer.from(frame)
      if (at === 1) changed.writeUInt32BE(7, 1)
      return changed
    }
    const impostor = talk(caller(), host(), asNode)
    expect(told(impostor)).toBe("node 7 is at this address, not node 2")
    expect(impostor.frames).toHaveLength(2)
    const asVersion8 = (frame: Buffer, at: number) => (at === 1 ? Buffer.concat([Buffer.from([8]), frame.subarray(1)]) : frame)
    expect(told(talk(caller(), host(), asVersion8))).toBe("the other node speaks version 8, this one version 1")
  })

  it("keeps nodes of two clusters, or of two lists of first members, apart, and says which they are", () => {
    const one = (clusterId?: string, firstMembers?: string) => () => ({ clusterId, firstMembers })
    const told = (theirs: () => Belonging, ours: () => Belonging) => {
      const { caller: step, host: hostStep } = talk(caller({ belonging: theirs }), host({ belonging: ours }))
      expect(step?._tag === "done").toBe(hostStep?._tag === "done")
      if (hostStep?._tag === "refused" && step?._tag === "failed") expect(step.reason).toContain(hostStep.reason)
      return hostStep?._tag === "refused" ? hostStep.reason : "done"
    }
    expect(told(one("a".repeat(32)), one("b-2"))).toBe(`it is of cluster ${"a".repeat(32)}, this node is of cluster b-2`)
    expect(told(one("a", "list-1"), one("a", "list-2"))).toBe("done")
    expect(told(one(undefined, "list-1"), one(undefined, "list-2"))).toContain("other cluster.nodes than this node")
    expect(told(one(undefined, "list-1"), one(undefined, "list-1"))).toBe("done")
    // A cluster that is there may have changed since; who knows nothing yet is told everything by the log.
    for (const other of [one("a", "list-2"), one("a"), one()]) {
      expect(told(one(undefined, "list-1"), other)).toBe("done")
      expect(told(other, one(undefined, "list-1"))).toBe("done")
      expect(told(other, one())).toBe("done")
    }
    expect(told(one("x".repeat(65), "not a mark"), one("b"))).toBe("done")
    // What a stranger says of itself is looked at after its proof, and what is said is part of that.
    const altered = (frame: Buffer, at: number) => (at === 2 ? Buffer.from([...frame.subarray(0, -1), "x".charCodeAt(0)]) : frame)
    expect(talk(caller({ belonging: one("a", "b") }), host(), altered).host).toMatchObject({
      reason: expect.stringContaining("does not know cluster.secret")
    })
  })

  it("does not let in who repeats what it heard, or sends a proof back", () => {
    const heard = talk(caller(), host())
    const again = host({ nonce: Buffer.alloc(nonceBytes, 3) })
    again.step(heard.frames[0] as Buffer)
    expect(again.step(heard.frames[2] as Buffer)).toMatchObject({ _tag: "refused" })
    // The host's welcome is no proof of a caller, nor the caller's proof one of a host.
    const mirrored = host()
    mirrored.step(heard.frames[0] as Buffer)
    expect(mirrored.step((heard.frames[3] as Buffer).subarray(1))).toMatchObject({ _tag: "refused" })
    const echoed = talk(caller(), host(), (frame, at) =>
      at === 3 ? Buffer.concat([Buffer.from("W"), heard.frames[2] as Buffer]) : frame
    )
    expect(echoed.caller).toEqual({ _tag: "failed", reason: "the other node does not know cluster.secret" })
  })

  it("has not succeeded on both sides where anything was changed on the way, nor does it throw", () => {
    const channel = fc.constantFrom("raft/1", "metadata/1")
    fc.assert(
      fc.property(
        fc.nat(3),
        fc.nat(handshakeFrameBytesMax),
        fc.integer({ min: 1, max: 255 }),
        channel,
        (which, at, bits, name) => {
          let changed = false
          const talked = talk(caller({ channel: name }), host(), (frame, number) => {
            if (number !== which || at >= frame.length) return frame
            changed = true
            const other = Buffer.from(frame)
            other[at] = (other[at] as number) ^ bits
            return other
          })
          const both = talked.caller?._tag === "done" && talked.host?._tag === "done"
          expect(both).toBe(!changed)
        }
      )
    )
  })

  it("ends at whatever else is sent", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, begun) => {
        const one = host()
        if (begun) one.step(caller().hello())
        expect(["failed", "refused"]).toContain(one.step(Buffer.from(bytes))._tag)
        const other = caller()
        other.hello()
        expect(other.step(Buffer.from(bytes))._tag).toBe("failed")
      })
    )
  })

  it("says nothing of the other into a log but plain characters", () => {
    const refusal = Buffer.concat([Buffer.from("R"), Buffer.from("bad\u001b[31m\nlines\u0000é")])
    expect(caller().step(refusal)).toEqual({ _tag: "failed", reason: "the other node refuses: bad?[31m?lines???" })
    const strange = talk(caller({ channel: "a\nb" }), host())
    expect(strange.host).toMatchObject({ reason: "a?b is not spoken here, or not yet" })
  })

  it("is not begun with what does not fit into it", () => {
    expect(() => caller({ nodeId: 0 })).toThrow("0 is no node id")
    expect(() => caller({ toNodeId: 2 ** 32 })).toThrow("is no node id")
    expect(() => caller({ channel: "" })).toThrow("no name of a channel")
    expect(() => caller({ channel: "c".repeat(65) })).toThrow("no name of a channel")
    expect(talk(caller({ channel: "c".repeat(64) }), host({ channels: () => ["c".repeat(64)] })).caller?._tag).toBe("done")
  })
})

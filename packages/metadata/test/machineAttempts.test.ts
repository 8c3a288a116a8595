/** Which tries of a command the leader takes for outrun by a later one, and how many it remembers. */
import type { SubmitOutcome } from "@effectmq/schemas/rpc/MetadataRpcs"
import { describe, expect, it } from "vitest"
import { attemptsMax, defaultOptions, MetadataMachine } from "../src/MetadataMachine.js"
import { command, tenant } from "./commands.js"

/** What is answered at once to a try that is taken back then; undefined where it would have been decided. */
const leading = (term: number) => {
  const machine = new MetadataMachine(defaultOptions, () => undefined)
  const tries = (commandId: string, attempt: number): SubmitOutcome["_tag"] | undefined => {
    const answers: Array<SubmitOutcome> = []
    const wish = command("CreateTopic", { tenant, name: "t", commandId })
    const takeBack = machine.offer(machine.leadsInTerm, {
      command: wish,
      basisVersion: 0,
      attempt,
      deadlineMs: Number.MAX_SAFE_INTEGER,
      answer: (outcome) => answers.push(outcome)
    })
    takeBack()
    return answers[0]?._tag
  }
  machine.leadershipBegan(term, [])
  return { machine, tries }
}

describe("an earlier try", () => {
  it("is lost after a later one, as long as this leader leads", () => {
    const { machine, tries } = leading(3)
    expect([tries("a", 1), tries("a", 2), tries("a", 2), tries("a", 1), tries("b", 1)]).toEqual([
      undefined,
      undefined,
      undefined,
      "Lost",
      undefined
    ])
    // Somebody else's end is none of this leadership.
    machine.leadershipEnded(2)
    expect(tries("a", 1)).toBe("Lost")
    machine.leadershipEnded(3)
    expect(tries("a", 3)).toBe("NotLeader")
    machine.leadershipBegan(4, [])
    expect(tries("a", 1)).toBeUndefined()
  })

  it(`is known of the ${attemptsMax} commands that were retried last`, () => {
    const { tries } = leading(3)
    for (let count = 1; count <= attemptsMax; count++) tries(`c${count}`, 2)
    expect(tries("c1", 1)).toBe("Lost")
    // Retried once more, it is no longer the oldest.
    tries("c1", 3)
    expect(tries("c2", 1)).toBe("Lost")
    tries("one more", 2)
    expect(tries("c2", 1)).toBeUndefined()
    expect(tries("c1", 2)).toBe("Lost")
    expect(tries("c3", 1)).toBe("Lost")
  })
})

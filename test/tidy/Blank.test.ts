import { describe, expect, it } from "vitest"
import { blank } from "./Blank.js"

const squeeze = (text: string) => text.replace(/\s+/g, " ").trim()

describe("blank", () => {
  it("keeps positions and line breaks", () => {
    const text = 'const a = "x\\"y" // note\n/* b\n c */ const d = `e${f(`g`)}h`\n'
    const { code, withStrings } = blank(text)
    expect(code.length).toBe(text.length)
    expect(withStrings.length).toBe(text.length)
    expect(code.split("\n").length).toBe(text.split("\n").length)
  })

  it("sees code inside templates and none inside strings, comments and regular expressions", () => {
    const code = squeeze(blank("a(`x ${call({ b: 1 })} y`); // no()\nreturn /no()\\/[/]/.test('no()')").code)
    expect(code).toContain("call({ b: 1 })")
    expect(code).not.toContain("no()")
  })

  it("tells a division from a regular expression", () => {
    expect(squeeze(blank("const x = a / b / call()").code)).toBe("const x = a / b / call()")
  })
})

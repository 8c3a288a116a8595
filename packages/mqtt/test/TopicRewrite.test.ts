import * as fc from "fast-check"
import type { RewriteRule } from "@effectmq/mqtt/core/MqttOptions"
import { shapeOf, stepsMax } from "@effectmq/mqtt/features/core/RegexCost"
import { fillInFilter, invalidRewriteRule, rewriteRuleError, TopicRewrite } from "@effectmq/mqtt/features/core/TopicRewrite"
import { describe, expect, it } from "vitest"

const rule = (source: string, regex: string, dest: string, action: RewriteRule["action"] = "all"): RewriteRule => ({
  action,
  source,
  regex,
  dest
})

const rewrite = (rules: ReadonlyArray<RewriteRule>, text: string, clientId = "c", user: string | undefined = "u") =>
  new TopicRewrite(rules, "publish").apply(text, clientId, user)

describe("rewriting", () => {
  it("follows EMQX's own example", () => {
    const rules = [
      rule("y/+/z/#", "^y/(.+)/z/(.+)$", "y/z/$2"),
      rule("x/#", "^x/y/(.+)$", "z/y/x/$1"),
      rule("x/y/+", "^x/y/(\\d+)$", "z/y/$1")
    ]
    expect(rewrite(rules, "y/a/z/b")).toBe("y/z/b")
    expect(rewrite(rules, "y/def")).toBe("y/def")
    // The last rule whose filter matches decides, and its expression does not match.
    expect(rewrite(rules, "x/y/abc")).toBe("x/y/abc")
    expect(rewrite(rules, "x/1/2")).toBe("x/1/2")
    expect(rewrite(rules, "x/y/2")).toBe("z/y/2")
    expect(rewrite(rules, "x/y/2/3")).toBe("z/y/x/2/3")
  })

  it("fills in groups, client id and user, and looks at what it filled in no more", () => {
    expect(rewrite([rule("a/#", "^a/(.*)$", "b/%c/%u/$1/$1")], "a/%c$1", "me", "you")).toBe("b/me/you/%c$1/%c$1")
    expect(rewrite([rule("a/#", "^a(/x)?", "b$1")], "a/y")).toBe("b")
    expect(new TopicRewrite([rule("a", "^a$", "b/%u/c")], "publish").apply("a", "me", undefined)).toBe("b//c")
    expect(rewrite([rule("a", "^(a)$", "$10")], "a")).toBe("a0")
  })

  it("gives every client its own, though topics are remembered", () => {
    const rewriting = new TopicRewrite([rule("a/#", "^a/(.*)$", "b/%c/$1")], "publish")
    expect(["one", "two", "one"].map((clientId) => rewriting.apply("a/x", clientId, undefined))).toEqual([
      "b/one/x",
      "b/two/x",
      "b/one/x"
    ])
  })

  it("remembers a bounded number of topics, and forgets without harm", () => {
    const rewriting = new TopicRewrite([rule("a/#", "^a/(.*)$", "b/$1")], "publish")
    for (let index = 0; index < 10_000; index++) expect(rewriting.apply(`a/${index}`, "", undefined)).toBe(`b/${index}`)
    expect((rewriting as unknown as { outcomes: Map<string, unknown> }).outcomes.size).toBeLessThanOrEqual(4096)
  })

  it("keeps publish and subscribe apart", () => {
    const rules = [rule("a", "^a$", "b", "publish"), rule("c", "^c$", "d/+", "subscribe")]
    const [publish, subscribe] = [new TopicRewrite(rules, "publish"), new TopicRewrite(rules, "subscribe")]
    expect(["a", "c"].map((text) => publish.apply(text, "", undefined))).toEqual(["b", "c"])
    expect(["a", "c"].map((text) => subscribe.apply(text, "", undefined))).toEqual(["a", "d/+"])
  })

  it("lets no client id or user become a wildcard", () => {
    const rules = [rule("inbox", "^inbox$", "inbox/%c/%u", "subscribe")]
    const rewriting = new TopicRewrite(rules, "subscribe")
    expect(rewriting.apply("inbox", "me", "u")).toBe("inbox/me/u")
    expect(rewriting.apply("inbox", "+", "u")).toBeUndefined()
    expect(rewriting.apply("inbox", "me", "#")).toBeUndefined()
    expect(rewriting.apply("other", "#", "#")).toBe("other")
    expect(fillInFilter("inbox/%c/%u", "a", undefined)).toBe("inbox/a/")
    expect(fillInFilter("inbox/%c", "%u", "secret")).toBe("inbox/%u")
    expect(fillInFilter("inbox/%c", "#", undefined)).toBeUndefined()
    expect(fillInFilter("inbox/%u", "#", "+")).toBeUndefined()
    expect(fillInFilter("inbox/#", "#", "+")).toBe("inbox/#")
  })
})

describe("a rule that cannot be right", () => {
  it.each([
    ["a/#/b", "^a$", "b", "source is no topic filter: # stands alone in the last level"],
    ["a", "(", "b", "regex: Invalid regular expression: /(/: Unterminated group"],
    ["a", "^(.+)/(.+)$", "b/$3", "dest has $3, and regex has 2 groups"],
    ["a", "^a$", "b/+", "dest has a wildcard, and nothing can be published to one"],
    ["a", "^(a+)+$", "b", "regex: a repetition or an alternative in a repeated group can take too long"],
    ["a", "^((a+)b)*$", "b", "regex: a repetition or an alternative in a repeated group can take too long"],
    ["a", "^(a|a)*$", "b", "regex: a repetition or an alternative in a repeated group can take too long"],
    ["a", "^(a?a?){2,20}$", "b", "regex: a repetition or an alternative in a repeated group can take too long"],
    ["a", "^(.*)\\1$", "b", "regex: a reference back to a group can take too long"],
    ["a", `^${"a".repeat(600)}$`, "b", "regex has more than 512 characters"]
  ])("is refused: %s %s %s", (source, regex, dest, message) => {
    expect(rewriteRuleError(rule(source, regex, dest))).toBe(message)
    expect(() => new TopicRewrite([rule(source, regex, dest)], "publish")).toThrow(message)
  })

  it("is named by where it stands", () => {
    const rules = [rule("a", "^a$", "b"), rule("a", "(", "b")]
    expect(invalidRewriteRule(rules.slice(0, 1))).toBeUndefined()
    expect(invalidRewriteRule(rules)?.message).toContain("mqtt.rewrite[1]: regex: Invalid regular expression")
  })

  it("is not confused with one that can", () => {
    for (const regex of [
      "^x/y/(.+)$",
      "^([^/]+)/([a-z0-9]+)/(.*)$",
      "^(?:ab){2}(c|d)?$",
      "^(?<name>\\w+)[+*(]$",
      "a(b(c))",
      "^\\(a+\\)+$",
      "^([a-z]{2}){3}$"
    ]) {
      expect(rewriteRuleError(rule("a/#", regex, "b"))).toBeUndefined()
    }
  })
})

describe("the time a rule takes", () => {
  it("is known from its expression", () => {
    expect(shapeOf("^a/([^/]+)/([^/]+)/(.+)$")).toEqual({ groups: 3, bySlash: 0, anywhere: 0 })
    expect(shapeOf("^(.+)/(.+)/(.+)$")).toEqual({ groups: 3, bySlash: 2, anywhere: 0 })
    expect(shapeOf("(.*)x(.*)y")).toEqual({ groups: 2, bySlash: 0, anywhere: 3 })
    expect(shapeOf("^a|b$")).toEqual({ groups: 0, bySlash: 0, anywhere: 1 })
    expect(stepsMax({ groups: 0, bySlash: 2, anywhere: 0 }, 99, 10)).toBe(100 * 10 * 5)
  })

  it("is bounded: a topic that would take longer is refused", () => {
    const rules = [rule("#", "^.*a.*a.*a.*a.*a.*b$", "z")]
    expect(rewrite(rules, "xaxaxaxaxab")).toBe("z")
    expect(rewrite(rules, "a".repeat(4000))).toBeUndefined()
    expect(rewrite([rule("#", "^(.+)/(.+)/(.+)/(.+)/(.+)/x$", "z")], Array(15).fill("a").join("/"))).toBe(
      Array(15).fill("a").join("/")
    )
  })

  it("never throws, and says the same twice, whatever rule and topic", () => {
    const piece = fc.constantFrom(
      "a",
      "/",
      ".",
      "*",
      "+",
      "?",
      "(",
      ")",
      "[",
      "]",
      "^",
      "$",
      "|",
      "\\d",
      "\\/",
      "{2,}",
      "(?:",
      "b"
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.string({ unit: fc.constantFrom("a", "b", "/", "1") }),
        (pieces, topic) => {
          const one = rule("#", pieces.join("") || "a", "z")
          if (rewriteRuleError(one) !== undefined) return
          const rewriting = new TopicRewrite([one], "publish")
          const first = rewriting.apply(topic, "c", "u")
          const expected = new RegExp(one.regex).test(topic) ? "z" : topic
          expect([expected, undefined]).toContain(first)
          expect(rewriting.apply(topic, "c", "u")).toBe(first)
        }
      ),
      { numRuns: 500 }
    )
  })
})

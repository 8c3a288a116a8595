import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { load } from "../src/ConfigFile.js"

const withFile = (text: string) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const path = yield* files.makeTempFileScoped({ suffix: ".yaml" })
    yield* files.writeFileString(path, text)
    return yield* load({ path, environment: { EFFECTMQ_NODE_ID: "2" }, flags: ["node.name=flag"] })
  }).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

it.effect("reads YAML and JSON under environment and flags", () =>
  Effect.gen(function* () {
    const yaml = yield* withFile(
      "node: {id: 1, name: file}\n# a comment\nmqtt:\n  rewrite:\n  - {action: all, source: a/#, regex: ^a, dest: b}\n"
    )
    expect(yaml.settings["node.id"]).toBe(2)
    expect(yaml.settings["node.name"]).toBe("flag")
    expect(yaml.settings["mqtt.rewrite"]).toEqual([{ action: "all", source: "a/#", regex: "^a", dest: "b" }])
    expect((yield* withFile('{"log.level": "debug"}')).settings["log.level"]).toBe("debug")
    expect((yield* withFile("")).settings["log.level"]).toBe("info")
  })
)

it.effect("refuses what is no YAML, keys twice, and files that grow when read", () =>
  Effect.gen(function* () {
    for (const text of ["a: [", "node.id: 1\nnode.id: 2\n", "\ta: 1"]) {
      expect((yield* Effect.flip(withFile(text)))._tag).toBe("ConfigFileError")
    }
    const bomb = [
      "a: &a [x,x,x,x,x,x,x,x,x]",
      ..."bcdefgh".split("").map((name, at) => {
        const before = "abcdefgh"[at]
        return `${name}: &${name} [${Array(9).fill(`*${before}`).join(",")}]`
      })
    ].join("\n")
    expect((yield* Effect.flip(withFile(bomb)))._tag).toBe("ConfigFileError")
    expect((yield* Effect.flip(withFile(`# ${"x".repeat(2_000_000)}`)))._tag).toBe("ConfigFileError")
  })
)

it.effect("says which file cannot be read and why", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(load({ path: "/nowhere/c.yaml" }))
    expect(error.message).toContain("/nowhere/c.yaml cannot be read: there is no such file")
    expect((yield* Effect.flip(load({ path: "/" }))).message).toContain("/ cannot be read: it is no file")
  }).pipe(Effect.provide(NodeContext.layer))
)

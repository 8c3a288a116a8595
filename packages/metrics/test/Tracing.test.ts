import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Tracing from "../src/Tracing.js"

it.scopedLive("Tracing sends spans to the collector", () =>
  Effect.gen(function* () {
    const bodies: Array<string> = []
    const client = Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) =>
        Effect.sync(() => {
          if (request.body._tag === "Uint8Array") bodies.push(new TextDecoder().decode(request.body.body))
          return HttpClientResponse.fromWeb(request, new Response("{}"))
        })
      )
    )
    yield* Effect.void.pipe(
      Effect.withSpan("append"),
      Effect.provide(Tracing.layer({ url: "http://127.0.0.1:1/v1/traces" }).pipe(Layer.provide(client)))
    )
    expect(bodies.join()).toContain('"append"')
    expect(bodies.join()).toContain('"effectmq"')
  })
)

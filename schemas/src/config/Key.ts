/**
 * One configuration key: its type, default, unit and words. The table in Keys.ts is made of these, and everything that has
 * to do with configuration (parsing, errors, `effectmq config show`, the documentation) is driven by that table.
 */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Either from "effect/Either"

/** How a value is read from text (environment, flags): as it stands, as JSON, or as JSON or a list with commas. */
export type TextForm = "verbatim" | "json" | "comma-list"

export interface Key<A> {
  readonly schema: Schema.Schema<A, unknown>
  readonly fallback: A
  /** What a right value looks like; completes "expected ...". */
  readonly expected: string
  /** Of the number, for instance "seconds"; "" where it has none. */
  readonly unit: string
  readonly doc: string
  readonly form: TextForm
  /** Never printed. */
  readonly secret: boolean
}

export type KeyType<K> = K extends Key<infer A> ? A : never

interface Words<A> {
  readonly fallback: A
  readonly doc: string
  readonly unit?: string
}

const key = <A, I>(schema: Schema.Schema<A, I>, expected: string, form: TextForm, words: Words<A>): Key<A> => ({
  schema: schema as unknown as Schema.Schema<A, unknown>,
  fallback: words.fallback,
  expected,
  unit: words.unit ?? "",
  doc: words.doc,
  form,
  secret: false
})

/** A whole number within bounds. */
export const integer = (words: Words<number> & { readonly min: number; readonly max: number }): Key<number> =>
  key(Schema.Int.pipe(Schema.between(words.min, words.max)), `a whole number from ${words.min} to ${words.max}`, "json", words)

/** Any number within bounds. */
export const decimal = (words: Words<number> & { readonly min: number; readonly max: number }): Key<number> =>
  key(Schema.Number.pipe(Schema.between(words.min, words.max)), `a number from ${words.min} to ${words.max}`, "json", words)

/** A TCP port; 0 lets the system choose. */
export const port = (words: Words<number>): Key<number> => integer({ ...words, min: 0, max: 65535 })

export const flag = (words: Words<boolean>): Key<boolean> => key(Schema.Boolean, "true or false", "json", words)

export const text = (words: Words<string>): Key<string> =>
  key(Schema.String.pipe(Schema.minLength(1)), "a text that is not empty", "verbatim", words)

/** A text that may be absent. */
export const optionalText = (words: Omit<Words<string>, "fallback">): Key<string | undefined> =>
  key<string | undefined, unknown>(
    Schema.UndefinedOr(Schema.String.pipe(Schema.minLength(1))) as Schema.Schema<string | undefined, unknown>,
    "a text that is not empty",
    "verbatim",
    { ...words, fallback: undefined }
  )

/** A text that may be absent and is never shown. */
export const secretText = (words: Omit<Words<string>, "fallback">): Key<string | undefined> => ({
  ...optionalText(words),
  secret: true
})

/** A secret with a least length. `how` says how one is made. */
export const longSecret = (
  words: Omit<Words<string>, "fallback"> & { readonly lengthMin: number; readonly how: string }
): Key<string | undefined> => ({
  ...secretText(words),
  schema: Schema.UndefinedOr(Schema.String.pipe(Schema.minLength(words.lengthMin))) as unknown as Schema.Schema<
    string | undefined,
    unknown
  >,
  expected: `at least ${words.lengthMin} characters that nobody guesses, as from ${words.how}`
})

export const oneOf = <const Values extends readonly [string, ...Array<string>]>(
  values: Values,
  words: Words<Values[number]>
): Key<Values[number]> =>
  key(Schema.Literal(...values) as unknown as Schema.Schema<Values[number]>, `one of ${values.join(", ")}`, "verbatim", words)

/** A whole number out of a few. */
export const oneOfNumbers = <const Values extends readonly [number, ...Array<number>]>(
  values: Values,
  words: Words<Values[number]>
): Key<Values[number]> =>
  key(Schema.Literal(...values) as unknown as Schema.Schema<Values[number]>, `one of ${values.join(", ")}`, "json", words)

/** A list of texts. */
export const textList = (words: Words<ReadonlyArray<string>>): Key<ReadonlyArray<string>> =>
  key(Schema.Array(Schema.String.pipe(Schema.minLength(1))), "a list of texts, or texts with commas between", "comma-list", words)

/** A list of objects. `expected` shows one. */
export const list = <A, I>(
  item: Schema.Schema<A, I>,
  words: Words<ReadonlyArray<A>> & { readonly expected: string; readonly countMax: number }
): Key<ReadonlyArray<A>> => key(Schema.Array(item).pipe(Schema.maxItems(words.countMax)), words.expected, "json", words)

/** What the text of an environment variable or flag stands for; the schema judges it afterwards. */
export const valueOfText = (definition: Key<unknown>, value: string): unknown => {
  if (definition.form === "verbatim") return value
  try {
    return JSON.parse(value)
  } catch {
    return definition.form === "comma-list" ? value.split(",").map((part) => part.trim()) : value
  }
}

/** Judges a value; left carries where in the value the fault is and what it is, "" where the value as a whole is wrong. */
export const judge = <A>(definition: Key<A>, value: unknown): Either.Either<A, string> =>
  Either.mapLeft(Schema.decodeUnknownEither(definition.schema, { onExcessProperty: "error" })(value), (error) => {
    const first = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
    return first === undefined || first.path.length === 0 ? "" : `at ${first.path.join(".")}: ${first.message}`
  })

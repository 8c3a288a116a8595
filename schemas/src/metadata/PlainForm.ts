/**
 * Reading and writing of plain JSON values as a schema describes them, without the schema's own machinery: made once from its tree,
 * many times as fast. For schemas without transformations: what is written is the value itself.
 *
 * Invariants
 * - What `read` answers is what the schema would decode, without fields that it does not name. Where it answers undefined the schema
 *   may still accept: it is asked then, and says why not.
 * - What `write` gives is what `stableJson` gives of what the schema would encode; it throws where the value does not fit.
 */
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

export interface PlainForm<A> {
  read(value: unknown): A | undefined
  write(value: A): string
}

interface Form {
  /** `no` where the value does not fit. */
  readonly read: (value: unknown) => unknown
  /** undefined where the value does not fit. */
  readonly write: (value: unknown) => string | undefined
}

const no: unique symbol = Symbol("no")

const guarded = (fits: (value: unknown) => boolean, write: (value: unknown) => string): Form => ({
  read: (value) => (fits(value) ? value : no),
  write: (value) => (fits(value) ? write(value) : undefined)
})

const literal = (ast: AST.Literal): Form => {
  const text = JSON.stringify(ast.literal)
  return guarded(
    (value) => value === ast.literal,
    () => text
  )
}

const refinement = (ast: AST.Refinement): Form => {
  const from = formOf(ast.from)
  const fits = (value: unknown) => Option.isNone(ast.filter(value, AST.defaultParseOption, ast))
  return {
    read: (value) => {
      const read = from.read(value)
      return read !== no && fits(read) ? read : no
    },
    write: (value) => {
      const written = from.write(value)
      return written !== undefined && fits(value) ? written : undefined
    }
  }
}

const array = (ast: AST.TupleType): Form => {
  const [rest] = ast.rest
  if (ast.elements.length > 0 || rest === undefined || ast.rest.length > 1) throw new Error("no plain form of a tuple")
  const item = formOf(rest.type)
  return {
    read: (value) => {
      if (!Array.isArray(value)) return no
      const out = new Array<unknown>(value.length)
      for (let at = 0; at < value.length; at++) if ((out[at] = item.read(value[at])) === no) return no
      return out
    },
    write: (value) => {
      if (!Array.isArray(value)) return undefined
      const parts = value.map(item.write)
      return parts.includes(undefined) ? undefined : `[${parts.join(",")}]`
    }
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const struct = (ast: AST.TypeLiteral): Form => {
  if (ast.indexSignatures.length > 0) throw new Error("no plain form of a record")
  const fields = ast.propertySignatures.map(({ name, isOptional, type }) => {
    if (typeof name !== "string") throw new Error("no plain form of a symbol")
    return { name, isOptional, form: formOf(type), prefix: `${JSON.stringify(name)}:` }
  })
  const inOrder = [...fields].sort((left, right) => (left.name < right.name ? -1 : 1))
  return {
    read: (value) => {
      if (!isRecord(value)) return no
      const out: Record<string, unknown> = {}
      for (const { name, isOptional, form } of fields) {
        const field = value[name]
        if (field === undefined) {
          if (!isOptional) return no
          continue
        }
        const read = form.read(field)
        if (read === no) return no
        out[name] = read
      }
      return out
    },
    write: (value) => {
      if (!isRecord(value)) return undefined
      let out = ""
      for (const { name, isOptional, form, prefix } of inOrder) {
        const field = value[name]
        if (field === undefined) {
          if (!isOptional) return undefined
          continue
        }
        const written = form.write(field)
        if (written === undefined) return undefined
        out += out === "" ? prefix + written : `,${prefix}${written}`
      }
      return `{${out}}`
    }
  }
}

/** By `_tag` where every member has one of its own, else the first that fits. */
const union = (ast: AST.Union): Form => {
  const tags = ast.types.map((type) => {
    const tag = AST.isTypeLiteral(type) ? type.propertySignatures.find(({ name }) => name === "_tag")?.type : undefined
    return tag !== undefined && AST.isLiteral(tag) ? tag.literal : undefined
  })
  const forms = ast.types.filter((type) => !AST.isUndefinedKeyword(type)).map(formOf)
  if (!tags.includes(undefined)) {
    const byTag = new Map<unknown, Form>(forms.map((form, at) => [tags[at], form]))
    const of = (value: unknown) => (isRecord(value) ? byTag.get(value["_tag"]) : undefined)
    return { read: (value) => of(value)?.read(value) ?? no, write: (value) => of(value)?.write(value) }
  }
  return {
    read: (value) => {
      for (const form of forms) {
        const read = form.read(value)
        if (read !== no) return read
      }
      return no
    },
    write: (value) => {
      for (const form of forms) {
        const written = form.write(value)
        if (written !== undefined) return written
      }
      return undefined
    }
  }
}

const formOf = (ast: AST.AST): Form => {
  switch (ast._tag) {
    case "StringKeyword":
      return guarded((value) => typeof value === "string", JSON.stringify)
    case "NumberKeyword":
      // JSON carries no others.
      return guarded((value) => Number.isFinite(value), JSON.stringify)
    case "BooleanKeyword":
      return guarded((value) => typeof value === "boolean", String)
    case "Literal":
      return literal(ast)
    case "Refinement":
      return refinement(ast)
    case "TupleType":
      return array(ast)
    case "TypeLiteral":
      return struct(ast)
    case "Union":
      return union(ast)
    default:
      throw new Error(`no plain form of ${ast._tag}`)
  }
}

export const plainForm = <A, I>(schema: Schema.Schema<A, I>): PlainForm<A> => {
  const form = formOf(schema.ast)
  return {
    read: (value) => {
      const read = form.read(value)
      return read === no ? undefined : (read as A)
    },
    write: (value) => {
      const written = form.write(value)
      if (written === undefined) throw new TypeError("the value does not fit its schema")
      return written
    }
  }
}

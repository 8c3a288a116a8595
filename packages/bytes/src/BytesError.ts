/**
 * The one error of this package: bytes that end too early, do not follow their format, or would pass a bound.
 */
export class BytesError extends Error {
  readonly _tag = "BytesError"
  override readonly name = "BytesError"
}

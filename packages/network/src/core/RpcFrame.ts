/**
 * One RPC message as the bytes of one frame: a msgpack value. Nothing is kept between frames, so that no state of one can spoil the
 * next.
 */
import { Packr } from "msgpackr"

const packr = new Packr({ useRecords: false, moreTypes: false, mapsAsObjects: true, int64AsType: "number" })

export const packFrame = (message: unknown): Uint8Array => packr.pack(message)

/** @throws Error where the bytes are no msgpack value */
export const unpackFrame = (frame: Uint8Array): unknown => packr.unpack(frame)

/**
 * The one error of the codec: bytes that are no packet, or a packet that the protocol forbids.
 *
 * What to answer: a client that is connected with version 5 gets DISCONNECT with `reasonCode`; one whose CONNECT failed
 * gets CONNACK with it, in the form of `PacketParser.version` (see `connackReturnCode`); all others see the connection close.
 */
export class MalformedPacket extends Error {
  readonly _tag = "MalformedPacket"

  constructor(
    /** A reason code of MQTT 5: 0x81 malformed, 0x82 protocol error, 0x84 unsupported version, 0x85, 0x90, 0x94, 0x95, ... */
    readonly reasonCode: number,
    message: string,
    /** The clause that was broken, for instance `MQTT-3.3.1-4`; "" where the text has no number for it. */
    readonly clause: string = "",
    /** It is not the packet that is wrong: there is no memory for it. */
    readonly isShortage = false
  ) {
    super(message)
    this.name = "MalformedPacket"
  }
}

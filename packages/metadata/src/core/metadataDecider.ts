/**
 * The cluster's metadata as a decider.
 */
import type { Decider } from "@effectmq/eventsource/Decider"
import type { MetadataRefusal } from "@effectmq/schemas/errors/MetadataError"
import type { MetadataCommand } from "@effectmq/schemas/metadata/MetadataCommand"
import type { MetadataEvent } from "@effectmq/schemas/metadata/MetadataEvent"
import type { MetadataReply } from "@effectmq/schemas/metadata/MetadataReply"
import { apply } from "./apply.js"
import { decide } from "./decide.js"
import { emptyImage, type Image } from "./Image.js"
import { imageToEvents } from "./imageToEvents.js"

export const metadataDecider: Decider<Image, MetadataCommand, MetadataEvent, MetadataReply, MetadataRefusal> = {
  initial: emptyImage,
  decide,
  apply,
  snapshot: imageToEvents
}

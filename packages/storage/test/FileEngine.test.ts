import { SimulatedDisk } from "@effectmq/storage/SimulatedDisk"
import { suite } from "./EngineSuite.js"
import { fileLayer, seeded } from "./Support.js"

suite("file engine", () => ({ layer: fileLayer(new SimulatedDisk(seeded(1))), survives: true }))

/**
 * Bundles the simulations from their TypeScript sources and runs them; Main.ts says what can be asked for.
 */
import { bundleSimulation } from "./bundle.mjs"

await import(await bundleSimulation())

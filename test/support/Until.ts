/**
 * Waiting for conditions. Tests never sleep for a fixed time and hope.
 */
const stepMs = 10

/** Resolves once `condition` holds; throws naming `what` when it does not within the limit. */
export const until = async (
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  limitMs = 20_000
): Promise<void> => {
  const deadline = performance.now() + limitMs
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${limitMs} ms: ${typeof what === "string" ? what : what()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, stepMs))
  }
}

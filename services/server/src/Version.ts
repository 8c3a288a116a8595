/**
 * Version of this software, as in package.json.
 */
export const version = "0.2.0"

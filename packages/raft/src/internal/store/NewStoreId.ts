/**
 * Makes the id of a store: 128 random bits as 32 hex digits.
 */
export const newStoreId = (): string =>
  Array.from({ length: 4 }, () =>
    Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
  ).join("")

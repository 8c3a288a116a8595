/**
 * Something that cannot be as long as every member keeps what it made durable: a log was lost, or there is a bug. The member that
 * sees it takes part no more.
 */
export class RaftViolation extends Error {
  override readonly name = "RaftViolation"
}

export const violated = (message: string): never => {
  throw new RaftViolation(message)
}

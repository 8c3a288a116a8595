/**
 * What was seen that must never be, in words. The first one is what matters; the run ends with it.
 */
export class Violations {
  readonly all: Array<string> = []

  constructor(private readonly note: (text: string) => void) {}

  add(text: string): void {
    if (this.all.length < 20) this.all.push(text)
    this.note(`VIOLATION ${text}`)
  }

  get none(): boolean {
    return this.all.length === 0
  }
}

/** Waits between attempts: the bound doubles from `minMs` to `maxMs`, the wait is anywhere between. */
export class Backoff {
  private readonly minMs: number
  private readonly maxMs: number
  private readonly random: () => number
  private capMs: number

  constructor(bounds: { minMs: number; maxMs: number }, modules: { random: () => number }) {
    this.minMs = bounds.minMs
    this.maxMs = bounds.maxMs
    this.capMs = bounds.minMs
    this.random = modules.random
  }

  nextMs(): number {
    const cap = this.capMs
    this.capMs = Math.min(this.maxMs, cap * 2)
    return this.minMs + this.random() * (cap - this.minMs)
  }

  reset(): void {
    this.capMs = this.minMs
  }
}

/** Clients whose own connection was lost and is missed even while they ask for nothing. */

export interface Restorable {
  /** There may be a primary to connect to. */
  onRestore(): void
}

export class RestoreQueue {
  private readonly waiting = new Set<Restorable>()
  private readonly retryMs: number
  private readonly random: () => number
  private timer: NodeJS.Timeout | undefined

  constructor(retryMs: number, random: () => number) {
    this.retryMs = retryMs
    this.random = random
  }

  add(one: Restorable): void {
    this.waiting.add(one)
    if (this.timer !== undefined) return
    const retry = () => {
      this.timer = undefined
      this.releaseAll()
    }
    this.timer = setTimeout(retry, this.retryMs * (0.5 + 0.5 * this.random())).unref()
  }

  remove(one: Restorable): void {
    this.waiting.delete(one)
  }

  /** Has all of them try; how many are connected at once is bounded where that is done. */
  releaseAll(): void {
    const all = [...this.waiting]
    this.waiting.clear()
    for (const one of all) one.onRestore()
  }

  stop(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.waiting.clear()
  }
}

/** Clients whose own connection was lost and is missed even while they ask for nothing. */

export interface Restorable {
  /** There may be a primary to connect to. */
  onRestore(): void
}

export class RestoreQueue {
  private readonly waiting = new Set<Restorable>()
  private readonly retryMs: number
  private timer: NodeJS.Timeout | undefined

  constructor(retryMs: number) {
    this.retryMs = retryMs
  }

  add(one: Restorable): void {
    this.waiting.add(one)
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.releaseAll()
    }, this.retryMs).unref()
  }

  remove(one: Restorable): void {
    this.waiting.delete(one)
  }

  /** Has all of them try. */
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

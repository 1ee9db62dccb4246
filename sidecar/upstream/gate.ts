/** Lets so many pass at a time; the others wait, those who came first go first. */

export class Gate {
  private readonly max: number
  private inside = 0
  private readonly waiting = new Set<() => void>()

  constructor(max: number) {
    this.max = max
  }

  /** Runs `task` when it is its turn. @throws the signal’s reason when that ended the wait, or what `task` throws */
  async pass<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    if (this.inside < this.max) this.inside += 1
    else await this.wait(signal)
    try {
      return await task()
    } finally {
      this.leave()
    }
  }

  /** Resolves with the place of one who left. */
  private wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const enter = () => {
      signal.removeEventListener('abort', giveUp)
      resolve()
    }
    const giveUp = () => {
      this.waiting.delete(enter)
      reject(signal.reason)
    }
    this.waiting.add(enter)
    signal.addEventListener('abort', giveUp, { once: true })
    return promise
  }

  private leave(): void {
    const next = this.waiting.values().next()
    if (next.done === true) {
      this.inside -= 1
      return
    }
    this.waiting.delete(next.value)
    next.value()
  }
}

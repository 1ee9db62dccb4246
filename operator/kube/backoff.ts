/** Waits between attempts: exponential, with jitter, and cut short by an abort signal. */

export interface BackoffOptions {
  readonly minMs: number
  readonly maxMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** Wait before attempt `attempt` + 1 (from 0): uniform between half of and all of `minMs · 2^attempt`, capped. */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const ceiling = Math.min(options.maxMs, options.minMs * 2 ** Math.min(attempt, 30))
  return ceiling / 2 + (ceiling / 2) * options.random()
}

/** Resolves after `ms` or at once when the signal is aborted; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal?.aborted === true) return Promise.resolve()
  const timer = setTimeout(done, ms)
  signal?.addEventListener('abort', done, { once: true })
  function done(): void {
    clearTimeout(timer)
    signal?.removeEventListener('abort', done)
    resolve()
  }
  return promise
}

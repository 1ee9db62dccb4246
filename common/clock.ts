/** Time as a value that is handed in, so that what depends on it can be run by a test or a simulator. */

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number
  /** Wall clock, milliseconds since 1970. */
  wallMs(): number
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
}

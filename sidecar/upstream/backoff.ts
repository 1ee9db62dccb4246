/** Growing waits between attempts. Pure but for the randomness that is handed in. */
import { upstreamRetryMaxMs, upstreamRetryMinMs } from '../../common/limits.ts'

/** Wait before attempt `attempt` (from 0): doubles up to a bound, half of it is left to chance. */
export function retryDelayMs(attempt: number, random: () => number): number {
  const full = Math.min(upstreamRetryMaxMs, upstreamRetryMinMs * 2 ** Math.min(attempt, 16))
  return full / 2 + (full / 2) * random()
}

/** How large a client’s commands may be, and how much it may leave unread. */
import type { Limits } from '../../common/contract/proxy-config.ts'
import {
  largeOutputShare,
  unauthenticatedArgumentBytesMax,
  unauthenticatedArgumentCountMax,
  unauthenticatedOutputBytesMax,
} from '../../common/limits.ts'
import type { RequestLimits } from '../resp/request-scanner.ts'

/** The server’s own bound: the largest count that its header can say. */
const argumentCountMax = 2_147_483_647

export function requestLimits(limits: Limits, isAuthenticated: boolean): RequestLimits {
  const { argumentBytesMax } = limits
  if (isAuthenticated) return { argumentCountMax, argumentBytesMax, excess: 'invalid' }
  return {
    argumentCountMax: unauthenticatedArgumentCountMax,
    argumentBytesMax: Math.min(argumentBytesMax, unauthenticatedArgumentBytesMax),
    excess: 'unauthenticated',
  }
}

/** Reply bytes that a client may leave unread before it is paused, or cut if it has not authenticated. */
export function outputBytesMax(client: {
  readonly isAuthenticated: boolean
  readonly context: { readonly limits: Limits }
  readonly window: { readonly isLarge: boolean }
  readonly pinning: { readonly lane: unknown }
  readonly inFlight: number
}): number {
  const { clientOutputBytesMax } = client.context.limits
  const isAside = client.pinning.lane !== undefined || client.inFlight === 0
  if (client.window.isLarge && isAside) return clientOutputBytesMax * largeOutputShare
  if (client.isAuthenticated) return clientOutputBytesMax
  return Math.min(clientOutputBytesMax, unauthenticatedOutputBytesMax)
}

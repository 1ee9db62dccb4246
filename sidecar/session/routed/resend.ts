/** What is to be decided of a command that was not run: whether it is sent again, to whom, after how long. */
import { defaultRetries, retryDelayMaxMs } from '../../../common/limits.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { SessionContext } from '../context.ts'
import { ownReplies } from '../own-replies.ts'
import type { Leg } from './leg.ts'
import { type Refusal, type RefusalKind, countRefusal, readRedirect } from './refusal.ts'

/** Redirects that are followed without a wait, before servers are given time to agree. */
const redirectsAtOnce = 3

/** Whether the error with which a server refused the first command of `leg` stays between it and us. */
export function isTakenBack({ backend }: SessionContext, kind: RefusalKind, leg: Leg): boolean {
  if (backend === undefined) return false
  // Other servers have nothing to do with it; another primary has.
  if (leg.kind.onlyShard !== undefined && kind !== 'readOnly') return false
  if (kind === 'loading' || kind === 'masterDown') return leg.kind.isReader
  return kind === 'readOnly' ? backend.kind !== 'ring' : backend.kind === 'cluster'
}

/** Notes why the command of `leg` was not run, and has the backend learn of it. */
export function refusalOf(
  { backend, counters }: SessionContext,
  leg: Leg,
  { kind, error }: { readonly kind: RefusalKind; readonly error: Buffer },
): Refusal {
  countRefusal(counters, kind)
  const { count, sinceMs } = leg.refusal ?? { count: 0, sinceMs: undefined }
  const refusal = { kind, error, count: kind === 'unsent' ? count : count + 1, sinceMs }
  if (kind !== 'moved' && kind !== 'ask') {
    if (kind !== 'tryAgain') backend?.lookAgain()
    return { ...refusal, server: undefined }
  }
  const redirect = readRedirect(error.toString('latin1'), hostOf(leg.way?.server.address ?? ''))
  const isAsk = kind === 'ask'
  const server =
    redirect &&
    (isAsk
      ? backend?.onAsk(redirect.address, redirect.slot)
      : backend?.onMoved(redirect.slot, redirect.address))
  if (server === undefined) backend?.lookAgain()
  return { ...refusal, server }
}

/** Wait before the next attempt: none where a server named another, else it doubles, with full jitter. */
export function delayMs(refusal: Refusal, context: SessionContext): number {
  const { kind, count, server } = refusal
  if (kind === 'unsent' || (kind === 'lost' && count === 1)) return 0
  if (server !== undefined && count <= redirectsAtOnce) return 0
  if ((kind === 'loading' || kind === 'masterDown') && count === 1) return 0
  const { retryDelayMs } = context.upstream.retries ?? defaultRetries
  const full = Math.min(retryDelayMaxMs, retryDelayMs * 2 ** Math.min(count - 1, 16))
  return full * context.random()
}

/** What the client is told instead of another attempt; undefined: there may be one. */
export function finalError(refusal: Refusal, context: SessionContext): Buffer | undefined {
  const { count, sinceMs } = refusal
  const now = context.clock.monotonicMs()
  const isLate = now - (sinceMs ?? now) >= context.timing.holdTimeoutMs
  const { maxRetries } = context.upstream.retries ?? defaultRetries
  return isLate || count > maxRetries ? errorOf(refusal) : undefined
}

/** What the client is told of a command that is not sent again. */
export function errorOf({ kind, error }: Refusal): Buffer {
  return kind === 'moved' || kind === 'ask' ? ownReplies.redirected : error
}

/** Who may take the command of `leg` now. */
export function serverFor(context: SessionContext, leg: Leg): ServerConnections | undefined {
  const { backend, planner, primary } = context
  if (leg.kind.onlyShard !== undefined) return leg.kind.onlyShard.primary
  if (backend === undefined) return primary
  if (leg.refusal?.server !== undefined) return leg.refusal.server
  const kind = planner.plan(backend, leg.bytes, leg.start, leg.end)
  if (kind === 'shard' || kind === 'crossSlot') return backend.shardOf(planner.hash)?.primary
  // Who refused it may do so again.
  return (backend.anyShard(leg.refusal?.count ?? 0) ?? { primary }).primary
}

/** Whether the first command of `leg` has no effect but its reply. */
export function isReadOnly({ backend, planner }: SessionContext, leg: Leg): boolean {
  if (backend === undefined) return false
  planner.plan(backend, leg.bytes, leg.start, leg.end)
  return planner.traits?.readsOnly === true
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}

/** How the recorded primary is, on the evidence of our own probes and of the other members. Pure. */
import { assertNever } from '../../../common/errors.ts'
import { fastDownMs, witnessSilenceMs } from '../../../common/limits.ts'
import { type PrimaryStatus, durationMs } from '../../api/redis-proxy.ts'
import type { ProbeFailure, ServerFacts } from '../observation.ts'
import { type LiveMember, type Member, isLive, primaryHistory } from './members.ts'
import type { Now, Snapshot } from './types.ts'

export type Health =
  | { readonly kind: 'healthy'; readonly facts: ServerFacts }
  /** The recorded process, but it follows someone. */
  | { readonly kind: 'demoted'; readonly facts: ServerFacts }
  /** Another process at the same address. */
  | { readonly kind: 'restarted'; readonly facts: ServerFacts }
  /** Fails, not long enough to be sure; judged again in `againMs`. */
  | { readonly kind: 'suspect'; readonly againMs: number; readonly why: string }
  | { readonly kind: 'down'; readonly why: string }
  /** We cannot reach it and others can. */
  | { readonly kind: 'isolated'; readonly why: string }
  | { readonly kind: 'unauthorized'; readonly why: string }
  | { readonly kind: 'unlisted' }
  | { readonly kind: 'unknown' }

export function judgePrimary(
  snapshot: Snapshot,
  primary: PrimaryStatus,
  context: { readonly members: readonly Member[]; readonly now: Now },
): Health {
  const member = context.members.find(({ address }) => address === primary.address)
  if (member === undefined) return { kind: 'unlisted' }
  const { facts, failure } = member
  if (facts !== undefined) {
    if (facts.runId !== primary.runId) return { kind: 'restarted', facts }
    return { kind: facts.role === 'primary' ? 'healthy' : 'demoted', facts }
  }
  if (failure === undefined) return { kind: 'unknown' }
  if (failure.kind === 'auth') {
    return { kind: 'unauthorized', why: `${primary.address} refuses the credentials` }
  }
  const history = primaryHistory(primary, context.members)
  const witnesses = context.members
    .filter(isLive)
    .filter((other) => other.address !== primary.address)
  return judgeFailure(snapshot, failure, { witnesses, history, now: context.now })
}

interface Evidence {
  readonly witnesses: readonly LiveMember[]
  readonly history: string
  readonly now: Now
}

function judgeFailure(snapshot: Snapshot, failure: ProbeFailure, evidence: Evidence): Health {
  const nowMs = evidence.now.monotonicMs
  const failingMs = nowMs - failure.sinceMs
  const downAfterMs = durationMs(snapshot.proxy.spec.failover.downAfter)
  const linked = evidence.witnesses.filter(
    ({ facts }) => facts.role === 'replica' && facts.isLinkUp && facts.replId === evidence.history,
  )
  if (linked.length === 0 && failure.refusedSinceMs !== undefined) {
    const refusedMs = nowMs - failure.refusedSinceMs
    if (refusedMs >= fastDownMs) return { kind: 'down', why: describe(failure) }
    return { kind: 'suspect', againMs: fastDownMs - refusedMs, why: describe(failure) }
  }
  if (failingMs < downAfterMs) {
    return { kind: 'suspect', againMs: downAfterMs - failingMs, why: describe(failure) }
  }
  const alive = linked.filter((witness) => heardSince(witness, failure.sinceMs))
  if (alive.length > 0) {
    const [first] = alive
    return { kind: 'isolated', why: `${first?.address ?? 'a replica'} still hears from it` }
  }
  const silentMs = downAfterMs + witnessSilenceMs
  if (linked.length > 0 && failingMs < silentMs && !sidecarsLostIt(snapshot)) {
    return { kind: 'suspect', againMs: silentMs - failingMs, why: describe(failure) }
  }
  return { kind: 'down', why: describe(failure) }
}

/** INFO gives whole seconds, rounded down: only an older word than that is no proof. */
function heardSince(witness: LiveMember, sinceMs: number): boolean {
  const { facts, observation } = witness
  if (facts.lastIoSeconds < 0) return false
  return observation.atMs - (facts.lastIoSeconds + 1) * 1000 > sinceMs
}

function sidecarsLostIt({ sidecars }: Snapshot): boolean {
  return sidecars.length > 0 && sidecars.every(({ primary }) => primary === 'failing')
}

export function describe(failure: ProbeFailure): string {
  switch (failure.kind) {
    case 'refused':
      return 'it refuses connections'
    case 'closed':
      return 'it closes connections'
    case 'timeout':
      return 'it does not answer'
    case 'auth':
      return 'it refuses the credentials'
    case 'other':
      return `it cannot be reached (${failure.message})`
    default:
      return assertNever(failure.kind)
  }
}

/** How the recorded primary is, on the evidence of our own probes and of everyone else who can tell. Pure. */
import { assertNever } from '../../../common/errors.ts'
import { fastDownMs, witnessFreshMs, witnessSilenceMs } from '../../../common/limits.ts'
import { type PrimaryStatus, durationMs } from '../../api/redis-proxy.ts'
import type { ProbeFailure, ServerFacts } from '../observation.ts'
import type { SidecarView } from '../provider.ts'
import { type LiveMember, type Member, isLive, primaryHistory } from './members.ts'
import type { Now, Snapshot } from './types.ts'

export type Health =
  | { readonly kind: 'healthy'; readonly facts: ServerFacts }
  /** The recorded process, but it follows someone. */
  | { readonly kind: 'demoted'; readonly facts: ServerFacts }
  /** Another process at the same address. */
  | { readonly kind: 'restarted'; readonly facts: ServerFacts }
  /** Fails, not long enough to be sure, or not confirmed; judged again in `againMs`. */
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
  const { facts, failure, fate } = member
  if (facts !== undefined) {
    if (facts.runId !== primary.runId) return { kind: 'restarted', facts }
    return { kind: facts.role === 'primary' ? 'healthy' : 'demoted', facts }
  }
  if (fate !== undefined) return { kind: 'down', why: fate }
  if (failure === undefined) return { kind: 'unknown' }
  if (failure.kind === 'auth') {
    return { kind: 'unauthorized', why: `${primary.address} refuses the credentials` }
  }
  return judgeFailure(snapshot, failure, {
    opinions: opinionsOn(snapshot, primary, { ...context, failure }),
    now: context.now,
  })
}

/** What one witness says: it heard from the primary since we lost it, has lost it too, or cannot tell yet. */
interface Opinion {
  readonly who: string
  readonly says: 'alive' | 'lost' | 'nothing'
  /** Holds a connection that looks up: a primary that merely refuses us is not taken for dead at once. */
  readonly isLinked: boolean
}

function judgeFailure(
  snapshot: Snapshot,
  failure: ProbeFailure,
  { opinions, now }: { readonly opinions: readonly Opinion[]; readonly now: Now },
): Health {
  const { failover } = snapshot.proxy.spec
  const nowMs = now.monotonicMs
  const why = describe(failure)
  const downAfterMs = durationMs(failover.downAfter)
  const waitMs = waitBeforeDown(failure, { opinions, downAfterMs, nowMs })
  if (waitMs > 0) return { kind: 'suspect', againMs: waitMs, why }
  const alive = opinions.find(({ says }) => says === 'alive')
  if (alive !== undefined) return { kind: 'isolated', why: `${alive.who} still hears from it` }
  const lost = opinions.filter(({ says }) => says === 'lost').length
  const wanted = Math.min(failover.confirmations, opinions.length)
  if (lost >= wanted) return { kind: 'down', why }
  return {
    kind: 'suspect',
    againMs: fastDownMs,
    why: `${why}, and ${lost} of ${wanted} others confirm it`,
  }
}

/** Whoever hangs up on us is not waited for as long as one who is silent, unless others hold on to it. */
function waitBeforeDown(
  failure: ProbeFailure,
  {
    opinions,
    downAfterMs,
    nowMs,
  }: {
    readonly opinions: readonly Opinion[]
    readonly downAfterMs: number
    readonly nowMs: number
  },
): number {
  const slowMs = failure.sinceMs + downAfterMs - nowMs
  if (failure.refusedSinceMs === undefined || opinions.some(({ isLinked }) => isLinked)) {
    return slowMs
  }
  return Math.min(slowMs, failure.refusedSinceMs + fastDownMs - nowMs)
}

interface Around {
  readonly members: readonly Member[]
  readonly now: Now
  readonly failure: ProbeFailure
}

function opinionsOn(
  snapshot: Snapshot,
  primary: PrimaryStatus,
  around: Around,
): readonly Opinion[] {
  const history = primaryHistory(primary, around.members)
  const downAfterMs = durationMs(snapshot.proxy.spec.failover.downAfter)
  const replicas = around.members
    .filter(isLive)
    .filter(({ address }) => address !== primary.address)
    .filter(({ facts }) => facts.role === 'replica' && facts.replId === history)
    .map((replica) => replicaOpinion(replica, { ...around, downAfterMs }))
  const epoch = snapshot.proxy.status?.epoch ?? 0
  const sidecars = snapshot.sidecars
    .filter(({ acked }) => (acked?.epoch ?? -1) >= epoch)
    .flatMap((sidecar) => sidecarOpinion(sidecar, { ...around, epoch }))
  return [...replicas, ...sidecars]
}

/** INFO gives whole seconds, rounded down: only an older word than that is no proof. */
function replicaOpinion(
  { address, facts, observation }: LiveMember,
  { failure, now, downAfterMs }: Around & { readonly downAfterMs: number },
): Opinion {
  if (!facts.isLinkUp) return { who: address, says: 'lost', isLinked: false }
  const heardMs =
    facts.lastIoSeconds < 0 ? undefined : observation.atMs - (facts.lastIoSeconds + 1) * 1000
  const silentMs = downAfterMs + witnessSilenceMs
  const isFresh = heardMs !== undefined && now.monotonicMs - heardMs < silentMs
  if (isFresh && heardMs > failure.sinceMs) return { who: address, says: 'alive', isLinked: true }
  const isSilent = now.monotonicMs - failure.sinceMs >= silentMs
  return { who: address, says: isSilent ? 'lost' : 'nothing', isLinked: true }
}

/** One that has no business with the primary at present says nothing, and is not waited for. */
function sidecarOpinion(
  { id, primary, heardAtMs, heardEpoch }: SidecarView,
  { failure, now, epoch }: Around & { readonly epoch: number },
): readonly Opinion[] {
  const who = `sidecar ${id}`
  if (primary === 'none') return []
  if (primary === 'failing') return [{ who, says: 'lost', isLinked: false }]
  const isOfEpoch = heardAtMs !== undefined && heardEpoch === epoch
  const isFresh = isOfEpoch && now.monotonicMs - heardAtMs < witnessFreshMs
  if (isFresh && heardAtMs > failure.sinceMs) return [{ who, says: 'alive', isLinked: true }]
  return [{ who, says: 'nothing', isLinked: false }]
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

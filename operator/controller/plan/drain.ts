/**
 * What a dead primary sent last may still be on its way into its replicas: a server that is told to follow somebody else
 * drops what it has received and not yet taken. It sees the end of its link behind all of that, so that end is waited
 * for before it is parked. Pure.
 */
import { parkDrainMs } from '../../../common/limits.ts'
import type { Intent } from '../../api/redis-proxy.ts'
import { type LiveMember, type Member, offsetIn } from './members.ts'
import { fencingMark, hasMoved } from './proof.ts'
import type { Now, Snapshot } from './types.ts'

interface Context {
  readonly snapshot: Snapshot
  readonly members: readonly Member[]
  readonly now: Now
}

/**
 * Whether a member may still take what the lost primary sent. Not for longer than `parkDrainMs`, and only if that process
 * has ended, as far as can be told from its place: one that is silent may keep its links up for ever.
 */
export function isDraining(context: Context, intent: Intent, { facts }: LiveMember): boolean {
  const { snapshot, members, now } = context
  const sinceMs = snapshot.marks?.[fencingMark] ?? now.monotonicMs
  if (!facts.isLinkUp || now.monotonicMs - sinceMs >= parkDrainMs) return false
  // Of another history is who follows the next process already.
  if (offsetIn(intent.fromReplId ?? '', facts) === undefined) return false
  return hasEnded(members, intent)
}

function hasEnded(members: readonly Member[], { from, fromRunId, fromHost }: Intent): boolean {
  const lost = members.find(({ address }) => address === from)
  if (lost === undefined) return false
  const isOther = lost.facts !== undefined && lost.facts.runId !== fromRunId
  return (
    lost.fate !== undefined ||
    lost.failure?.refusedSinceMs !== undefined ||
    (isOther && !hasMoved(lost, fromHost))
  )
}

/**
 * Backends whose primaries the operator does not choose: a cluster and Sentinels do so themselves, a ring has none to
 * choose. It looks, tells sidecars where the servers are, and says how things stand; it sends a server nothing that
 * changes it, but for a change of a cluster's primary that someone asked for. Pure.
 */
import { assertNever } from '../../../common/errors.ts'
import { slotCount } from '../../../common/redis/slots.ts'
import {
  type MemberStatus,
  type RedisProxySpec,
  type RedisProxyStatus,
  isChosenByOperator,
} from '../../api/redis-proxy.ts'
import type { ClusterFacts } from '../observation.ts'
import { describe } from './judge.ts'
import { type LiveMember, type Member, addresses, isLive } from './members.ts'
import { planClusterChange } from './cluster-change.ts'
import type { Decision, DecisionRecord, Now, Snapshot, Verdict } from './types.ts'

export function planObserved(
  snapshot: Snapshot,
  { members, now }: { readonly members: readonly Member[]; readonly now: Now },
): Decision {
  const { spec, status = {} } = snapshot.proxy
  const verdict = withSidecars(snapshot, verdictOn(spec, members))
  const { epoch, primary } = status
  const change = planClusterChange({ snapshot, status, members, now })
  return {
    // What was recorded while the operator chose the primary is over, but for the epoch, which never goes back.
    record: {
      ...(epoch !== undefined && { epoch: primary === undefined ? epoch : epoch + 1 }),
      phase: verdict.status === 'True' ? 'Steady' : 'Waiting',
      ...(change.operation && { operation: change.operation }),
    },
    actions: change.actions,
    verdict,
    events: [],
    marks: change.marks,
    ...(change.marks.length > 0 && { requeueAfterMs: clusterLookMs }),
  }
}

const clusterLookMs = 250

type Topology = NonNullable<RedisProxyStatus['topology']>

/** In short, for every mode. */
export function topologyOf(
  spec: RedisProxySpec,
  members: readonly Member[],
  record: DecisionRecord,
): Topology {
  const { backend } = spec
  const live = members.filter(isLive)
  const servers = `${live.length}/${members.length}`
  if (backend.mode === 'Ring') return { servers, shards: members.length }
  const cluster = clusterOf(live)
  if (backend.mode === 'Cluster') {
    if (cluster === undefined) return { servers }
    return { servers, shards: cluster.shardCount, slots: `${cluster.slotsOk}/${slotCount}` }
  }
  const [only, ...others] = primariesAmong(live)
  const seen = others.length === 0 ? only?.address : undefined
  const primary = isChosenByOperator(spec) ? record.primary?.address : seen
  return { servers, shards: 1, ...(primary !== undefined && { primary }) }
}

export function observedMembers(members: readonly Member[]): readonly MemberStatus[] {
  return members.map(({ address, facts, failure, former }) => {
    if (facts === undefined) {
      return {
        address,
        role: former?.role ?? 'unknown',
        state: 'Unreachable',
        ...(former?.runId !== undefined && { runId: former.runId }),
        message: failure === undefined ? 'was not looked at yet' : describe(failure),
      }
    }
    const { role, runId, offset, isLoading, isLinkUp, isSyncing } = facts
    const isBehind = role === 'replica' && (!isLinkUp || isSyncing)
    const state = isLoading ? 'Loading' : isBehind ? 'Syncing' : 'Online'
    return { address, role, state, runId, offset }
  })
}

function verdictOn({ backend }: RedisProxySpec, members: readonly Member[]): Verdict {
  const live = members.filter(isLive)
  if (live.length === 0) {
    const isUnseen = members.every(({ failure }) => failure === undefined)
    return isUnseen
      ? unknown('NotObserved', 'no server was looked at yet')
      : bad('NoServerReachable', `no answer from ${addresses(members)}`)
  }
  switch (backend.mode) {
    case 'Cluster':
      return clusterVerdict(live)
    case 'Ring':
      return ringVerdict(members, backend.ring?.ejectAfter !== undefined)
    case 'Replication':
    case 'Standalone':
      return sentinelVerdict(live)
    default:
      return assertNever(backend.mode)
  }
}

/** What most of the nodes that answer say; a node that is cut off from the others says that all is lost. */
function clusterOf(live: readonly LiveMember[]): ClusterFacts | undefined {
  const said = live.flatMap(({ facts }) => (facts.cluster === undefined ? [] : [facts.cluster]))
  const well = said.filter(({ isOk }) => isOk)
  const [most] = well.length * 2 > said.length ? well : said.filter(({ isOk }) => !isOk)
  return most ?? said[0]
}

function clusterVerdict(live: readonly LiveMember[]): Verdict {
  const cluster = clusterOf(live)
  if (cluster === undefined) {
    return bad(
      'NotACluster',
      `${addresses(live)} runs without cluster mode, or does not let the operator ask CLUSTER INFO`,
    )
  }
  const { isOk, slotsOk, shardCount } = cluster
  const slots = `${slotsOk} of ${slotCount} slots are served by ${shardCount} shards`
  if (!isOk) return bad('ClusterDown', `the cluster says that it is down: ${slots}`)
  return slotsOk < slotCount ? bad('SlotsUncovered', slots) : good('ClusterOk', slots)
}

function ringVerdict(members: readonly Member[], ejects: boolean): Verdict {
  const missing = members.filter((member) => !isLive(member))
  if (missing.length === 0) return good('RingComplete', 'every server of the ring answers')
  const message = `no answer from ${addresses(missing)}`
  return ejects
    ? good('RingReduced', `${message}; the others take its keys after ejectAfter failures`)
    : bad('RingIncomplete', `${message}: its keys cannot be served`)
}

function primariesAmong(live: readonly LiveMember[]): readonly LiveMember[] {
  return live.filter(({ facts }) => facts.role === 'primary')
}

function sentinelVerdict(live: readonly LiveMember[]): Verdict {
  const primaries = primariesAmong(live)
  const [only] = primaries
  if (only === undefined) {
    return bad('NoPrimary', `none of ${addresses(live)} says that it is a primary`)
  }
  return primaries.length > 1
    ? unknown('MultiplePrimaries', `${addresses(primaries)} each say that they are the primary`)
    : good('SentinelPrimary', `${only.address} is the primary; the Sentinels choose it`)
}

/** Sidecars see the servers from where the apps are, and in these modes know some that are not listed. */
function withSidecars({ sidecars }: Snapshot, verdict: Verdict): Verdict {
  if (sidecars.length === 0) return verdict
  const isAll = (view: 'ok' | 'failing') => sidecars.every(({ primary }) => primary === view)
  if (verdict.status === 'True' && isAll('failing')) {
    return bad('SidecarsCutOff', `no sidecar reaches its servers, although: ${verdict.message}`)
  }
  const isElsewhere = verdict.reason === 'NoPrimary' || verdict.reason === 'NoServerReachable'
  return isElsewhere && isAll('ok')
    ? good('ServedElsewhere', `every sidecar has its servers, although: ${verdict.message}`)
    : verdict
}

const good = (reason: string, message: string): Verdict => ({ status: 'True', reason, message })
const bad = (reason: string, message: string): Verdict => ({ status: 'False', reason, message })
const unknown = (reason: string, message: string): Verdict => ({
  status: 'Unknown',
  reason,
  message,
})

/**
 * The conditions of the status, from the decision and the observations. Each reason has a line in
 * `docs/reference/conditions.md`. Messages hold nothing that changes by itself, so that a status is only
 * written when something happened. Pure.
 */
import { sidecarGraceMs, sidecarsNamedMax } from '../../../common/limits.ts'
import { type Condition, type Phase, isChosenByOperator } from '../../api/redis-proxy.ts'
import { describe } from './judge.ts'
import { type Member, addresses, isAttached, isLive } from './members.ts'
import type { Decision, Now, Snapshot } from './types.ts'

type Bare = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

export function conditionsOf(
  snapshot: Snapshot,
  decision: Decision,
  { members, now }: { readonly members: readonly Member[]; readonly now: Now },
): readonly Condition[] {
  const primaryAvailable: Bare = { type: 'PrimaryAvailable', ...decision.verdict }
  const backend = backendReachable(members)
  const sidecars = sidecarsInSync(snapshot, decision, now)
  const stalled = isStalled(decision)
  const parts: readonly Bare[] = [
    ready([stalledFirst(stalled), backend, primaryAvailable, secrets(snapshot), sidecars]),
    primaryAvailable,
    ...replication(snapshot, members, decision),
    ...dataProtected(snapshot, members, decision),
    backend,
    sidecars,
    reconciling(decision),
    stalled,
  ]
  return parts.map((part) => complete(part, snapshot, now))
}

function complete(part: Bare, { proxy }: Snapshot, now: Now): Condition {
  const former = proxy.status?.conditions?.find(({ type }) => type === part.type)
  const isSame = former?.status === part.status
  return {
    ...part,
    lastTransitionTime:
      isSame && former !== undefined
        ? former.lastTransitionTime
        : new Date(now.wallMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    observedGeneration: proxy.metadata.generation,
  }
}

/** The first part that is not as it should be explains why the whole is not. */
function ready(parts: readonly Bare[]): Bare {
  const wrong = parts.find(({ status }) => status !== 'True')
  if (wrong === undefined) {
    return { type: 'Ready', status: 'True', reason: 'Ready', message: 'everything is in order' }
  }
  const status = wrong.status === 'Unknown' ? 'Unknown' : 'False'
  return { type: 'Ready', status, reason: wrong.reason, message: wrong.message }
}

/** As a part of Ready. */
function secrets({ missingSecrets = [] }: Snapshot): Bare {
  const status = missingSecrets.length === 0 ? 'True' : 'False'
  return { type: 'Ready', status, reason: 'SecretMissing', message: missingSecrets.join('; ') }
}

function isStalled({ record, verdict }: Decision): Bare {
  const is = record.phase === 'Stalled'
  return {
    type: 'Stalled',
    status: is ? 'True' : 'False',
    reason: is ? verdict.reason : 'Progressing',
    message: is ? verdict.message : 'nothing needs a human',
  }
}

/** As a part of Ready, where True is good. */
function stalledFirst(stalled: Bare): Bare {
  return { ...stalled, status: stalled.status === 'True' ? 'False' : 'True' }
}

const moving: ReadonlySet<Phase> = new Set([
  'Waiting',
  'Fencing',
  'Selecting',
  'Promoting',
  'Switching',
])

function reconciling({ record, verdict }: Decision): Bare {
  const { phase } = record
  const is = phase !== undefined && moving.has(phase)
  return {
    type: 'Reconciling',
    status: is ? 'True' : 'False',
    reason: is ? verdict.reason : 'Settled',
    message: is ? verdict.message : 'the wanted state is reached, or a human is needed',
  }
}

function backendReachable(members: readonly Member[]): Bare {
  const type = 'BackendReachable'
  const failing = members.filter((member) => !isLive(member))
  if (failing.length === 0) {
    return { type, status: 'True', reason: 'AllReachable', message: 'every member answers' }
  }
  const message = `no answer from ${failing.map(failingText).join(', ')}`
  if (failing.length < members.length) {
    return { type, status: 'True', reason: 'SomeUnreachable', message }
  }
  return { type, status: 'False', reason: 'NoneReachable', message }
}

function failingText({ address, failure }: Member): string {
  return failure === undefined ? address : `${address} (${describe(failure)})`
}

function singlePrimary(members: readonly Member[]): Bare {
  const type = 'SinglePrimary'
  const primaries = members.filter(isLive).filter(({ facts }) => facts.role === 'primary')
  if (primaries.length > 1) {
    const message = `${addresses(primaries)} each say that they are the primary`
    return { type, status: 'False', reason: 'MultiplePrimaries', message }
  }
  const [only] = primaries
  return only === undefined
    ? { type, status: 'True', reason: 'NoPrimary', message: 'no member says that it is a primary' }
    : { type, status: 'True', reason: 'OnePrimary', message: `${only.address} is the only primary` }
}

/** A cluster has several primaries, and the servers of a ring do not know each other. */
function replication(
  { proxy: { spec } }: Snapshot,
  members: readonly Member[],
  decision: Decision,
): Bare[] {
  const { mode } = spec.backend
  if (mode === 'Ring') return []
  if (mode === 'Cluster') return [linksHealthy(members)]
  const single = singlePrimary(members)
  return isChosenByOperator(spec)
    ? [single, replicationHealthy(members, decision)]
    : [single, linksHealthy(members)]
}

/** Of replicas whose primary is not for the operator to name. */
function linksHealthy(members: readonly Member[]): Bare {
  const type = 'ReplicationHealthy'
  const replicas = members.filter(isLive).filter(({ facts }) => facts.role === 'replica')
  const behind = replicas.filter(({ facts }) => !facts.isLinkUp || facts.isSyncing)
  if (behind.length > 0) {
    const message = `${addresses(behind)} does not follow a primary`
    return { type, status: 'False', reason: 'ReplicasMissing', message }
  }
  return replicas.length === 0
    ? { type, status: 'True', reason: 'NoReplicas', message: 'no listed server is a replica' }
    : { type, status: 'True', reason: 'AllAttached', message: 'every replica follows its primary' }
}

function replicationHealthy(members: readonly Member[], { record }: Decision): Bare {
  const type = 'ReplicationHealthy'
  const self = members.find(({ address }) => address === record.primary?.address)
  if (self?.facts?.role !== 'primary') {
    return {
      type,
      status: 'Unknown',
      reason: 'NoPrimary',
      message: 'there is no primary to follow',
    }
  }
  const { facts } = self
  const others = members.filter((member) => member !== self)
  if (others.length === 0) {
    return { type, status: 'True', reason: 'NoReplicas', message: 'a single server has no replica' }
  }
  const missing = others.filter((member) => !isLive(member) || !isAttached(member.facts, facts))
  if (missing.length === 0) {
    return {
      type,
      status: 'True',
      reason: 'AllAttached',
      message: 'every replica follows the primary',
    }
  }
  const message = `${addresses(missing)} does not follow ${self.address}`
  return { type, status: 'False', reason: 'ReplicasMissing', message }
}

/** Whether a primary that comes back empty could overwrite its replicas. Says nothing where there is nobody to ask. */
function dataProtected(
  { proxy: { spec } }: Snapshot,
  members: readonly Member[],
  { record }: Decision,
): Bare[] {
  if (!isChosenByOperator(spec) || members.length < 2) return []
  const type = 'DataProtected'
  if (spec.failover.guards.replicationUsers === 'Disabled') {
    const message =
      'replication users are disabled: a primary that comes back empty overwrites replicas that follow it'
    return [{ type, status: 'False', reason: 'GuardsDisabled', message }]
  }
  const self = members.find(({ address }) => address === record.primary?.address)
  if (self?.facts === undefined) {
    const message = 'there is no primary to protect from'
    return [{ type, status: 'Unknown', reason: 'NoPrimary', message }]
  }
  const { guards } = self.facts
  if (guards === undefined || guards.refused !== undefined) {
    const why = guards?.refused ?? 'it did not say how it is set up'
    const message = `${self.address}: ${why}; a primary that comes back empty could overwrite its replicas`
    return [{ type, status: 'False', reason: 'NotSupported', message }]
  }
  const silent = members
    .filter(isLive)
    .filter((member) => member !== self)
    .filter(({ facts: { guards: own } }) => own === undefined || own.refused !== undefined)
  if (silent.length > 0) {
    const message = `${addresses(silent)} does not let the operator set its credentials`
    return [{ type, status: 'False', reason: 'NotSupported', message }]
  }
  const user = record.guards?.replicationUser
  return user === undefined
    ? [{ type, status: 'False', reason: 'SettingUp', message: 'credentials are being set' }]
    : [
        {
          type,
          status: 'True',
          reason: 'EpochUsers',
          message: `replicas log in as ${user}, which ends with the process of ${self.address}`,
        },
      ]
}

function named(ids: readonly string[]): string {
  const others = ids.length - sidecarsNamedMax
  const some = ids.slice(0, sidecarsNamedMax).join(', ')
  return others > 0 ? `${some} and ${others} more` : some
}

function sidecarsInSync(snapshot: Snapshot, { record }: Decision, now: Now): Bare {
  const type = 'SidecarsInSync'
  const { sidecars, expectedSidecars = [], published } = snapshot
  const connected = new Set(sidecars.map(({ id }) => id))
  const missing = expectedSidecars.filter((id) => !connected.has(id))
  const isFresh = published === undefined || now.monotonicMs - published.atMs < sidecarGraceMs
  const behind = sidecars.filter(({ acked, error }) => {
    if (error !== undefined) return true
    if (isFresh) return false
    return (
      (acked?.version ?? -1) < (published?.version ?? 0) ||
      (acked?.epoch ?? -1) < (record.epoch ?? 0)
    )
  })
  if (missing.length > 0) {
    const message = `${missing.length} of ${expectedSidecars.length} sidecars are not connected: ${named(missing)}`
    return { type, status: 'False', reason: 'SidecarsMissing', message }
  }
  if (behind.length > 0) {
    const message = `${behind.length} of ${sidecars.length} sidecars do not obey the present configuration`
    return { type, status: 'False', reason: 'SidecarsBehind', message }
  }
  return sidecars.length === 0
    ? { type, status: 'True', reason: 'NoSidecars', message: 'no sidecar is expected or connected' }
    : {
        type,
        status: 'True',
        reason: 'AllCurrent',
        message: 'every sidecar obeys the present configuration',
      }
}

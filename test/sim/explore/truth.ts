/** What must hold, checked where it could break. */
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { clockOf, indexOf, note } from './nodes.ts'
import { isGranted } from './sidecar.ts'
import { goodReplicas, offsetOf } from './server.ts'
import { type Process, type Sidecar, Violation, type World, type Write } from './types.ts'

const freshMax = 24

/** A write that a client was told of. */
export function checkAck(world: World, write: Write): void {
  const { truth } = world
  truth.counts.acknowledged += 1
  if ((write.otherEpoch ?? -1) >= write.epoch) {
    throw new Violation(
      'one writer',
      `w${write.id} was taken by ${write.runId} at epoch ${write.epoch} after another process took one at epoch ${write.otherEpoch}`,
    )
  }
  note(world, () => `p${write.sidecar} acknowledges w${write.id}`)
  world.truth = {
    ...truth,
    acked: [...truth.acked, { id: write.id, waitReplicas: write.waitReplicas }],
    fresh: [...truth.fresh, write.id].slice(-freshMax),
  }
}

/** Which acknowledged writes every listed server has by now, and which of those nobody has any more. */
export function trackKept(world: World): void {
  const { truth, servers, api } = world
  if (truth.fresh.length > 0) {
    const listed = api.object.listed.map((index) => servers[index])
    const fresh = truth.fresh.filter(
      (id) => !listed.every((server) => server !== undefined && logOf(server).includes(id)),
    )
    if (fresh.length < truth.fresh.length) {
      const done = truth.fresh.filter((id) => !fresh.includes(id))
      world.truth = { ...truth, fresh, kept: [...truth.kept, ...done] }
    }
  }
}

/** After data may have gone. */
export function dropLost(world: World): void {
  const { truth, servers } = world
  if (truth.kept.length === 0) return
  const logs = servers.map((server) => new Set(logOf(server)))
  const kept = truth.kept.filter((id) => logs.some((log) => log.has(id)))
  if (kept.length === truth.kept.length) return
  world.truth = { ...truth, kept }
  const gone = truth.guarded.find((id) => truth.kept.includes(id) && !kept.includes(id))
  if (gone !== undefined) throw new Violation('wiped', `w${gone} is gone with one empty server`)
}

function logOf(server: World['servers'][number]): readonly number[] {
  return server.process?.log ?? server.disk.log
}

/** Whether anyone could still get a write acknowledged by this process. */
export function mayStillWrite(world: World, process: Process, index: number): string | undefined {
  if (!process.isPrimary) return undefined
  if (process.minReplicas > goodReplicas(world, process)) return undefined
  const sidecar = world.sidecars.find((each) => {
    const { connection, config } = each
    if (!each.isUp) return false
    if (connection?.runId === process.runId) {
      if (each.drainUntilMs === undefined) return isGranted(world, each)
      // What it sent may still be run and answered.
      const isOpen = clockOf(world, each) < each.drainUntilMs
      return (
        isOpen &&
        world.writes.some(
          (write) => write.connection === connection.id && write.offset === undefined,
        )
      )
    }
    return config?.server === index && config.runId === process.runId && isGranted(world, each)
  })
  return sidecar && `p${sidecar.index}`
}

/** A sidecar was told that it may go on: not with a primary that has been replaced. */
export function checkGrant(world: World, sidecar: Sidecar): void {
  const { config } = sidecar
  const { status } = world.api.object
  const isReplaced = status?.primary !== undefined && status.primary.runId !== config?.runId
  if (!isReplaced || config?.server === undefined || !isGranted(world, sidecar)) return
  if (status.lastFailover?.proof !== 'GrantExpired') return
  const process = world.servers[config.server]?.process
  if (process === undefined || process.runId !== config.runId) return
  const writer = mayStillWrite(world, process, config.server)
  if (writer === undefined) return
  throw new Violation('true proof', `${writer} may write to s${config.server}, which was replaced`)
}

/** Before a process is made a primary. */
export function checkPromotion(world: World, index: number): void {
  const { status } = world.api.object
  const own = world.servers[index]?.process
  const { intent } = status ?? {}
  if (own === undefined || own.isPrimary) return
  if (!world.truth.targets.includes(own.runId)) {
    throw new Violation('recorded first', `s${index} is promoted and no record names ${own.runId}`)
  }
  if (intent?.targetRunId !== own.runId) return
  if (intent.kind !== 'Switchover' && intent.kind !== 'Bootstrap' && own.source !== 'parked') {
    throw new Violation('parked first', `s${index} is promoted and still follows s${own.source}`)
  }
  count(world, intent)
  if (intent.proof === 'Unfenced' || intent.kind === 'Bootstrap') return
  const former = indexOf(intent.from)
  for (const server of world.servers) {
    const { process } = server
    if (process === undefined || process === own) continue
    const writer = mayStillWrite(world, process, server.index)
    if (writer === undefined) continue
    throw new Violation(
      'true proof',
      `s${index} is promoted (${intent.proof ?? intent.kind}) while ${writer} can write to s${server.index}${server.index === former ? ', the lost primary' : ''}`,
    )
  }
}

function count(
  { truth: { counts } }: World,
  { proof, kind }: { proof?: string; kind: string },
): void {
  const name = proof ?? kind
  counts.proofs[name] = (counts.proofs[name] ?? 0) + 1
}

/** Before a status is stored. */
export function checkStatus(world: World, next: RedisProxyStatus): void {
  const former = world.api.object.status ?? {}
  const epoch = next.epoch ?? 0
  if (epoch < (former.epoch ?? 0)) throw new Violation('epoch', `it went back to ${epoch}`)
  const { primary } = next
  const named = primary?.runId ?? next.intent?.targetRunId
  const { targets } = world.truth
  if (named !== undefined && !targets.includes(named)) {
    world.truth = { ...world.truth, targets: [...targets, named] }
  }
  if (primary !== undefined) {
    const known = world.truth.primaryOf[epoch]
    if (known !== undefined && known !== primary.runId) {
      throw new Violation('one primary', `epoch ${epoch} had ${known} and gets ${primary.runId}`)
    }
    if (known === undefined) {
      const primaryOf = { ...world.truth.primaryOf, [epoch]: primary.runId }
      world.truth = { ...world.truth, primaryOf }
    }
  }
  const { lastFailover } = next
  if (lastFailover === undefined || lastFailover.epoch === former.lastFailover?.epoch) return
  const { counts } = world.truth
  if (lastFailover.kind !== 'Switchover') {
    counts.failovers += 1
    return
  }
  counts.switchovers += 1
  checkSwitchover(world, lastFailover)
}

/** After a planned change the new primary has every acknowledged write that the old one has. */
function checkSwitchover(
  { servers, truth }: World,
  { from, to }: NonNullable<RedisProxyStatus['lastFailover']>,
): void {
  const old = servers[indexOf(from) ?? -1]?.process?.log ?? []
  const log = new Set(servers[indexOf(to) ?? -1]?.process?.log)
  const lost = truth.acked.filter(({ id }) => old.includes(id) && !log.has(id))
  if (from === to || log.size === 0 || lost.length === 0) return
  throw new Violation('planned', `${to} took over from ${from} without w${lost[0]?.id}`)
}

/** Once all is well again: nothing that had to be kept is gone. */
export function checkData(world: World): void {
  const { status } = world.api.object
  const index = indexOf(status?.primary?.address)
  const own = index === undefined ? undefined : world.servers[index]?.process
  if (own === undefined) throw new Violation('converges', 'there is no primary')
  const log = new Set(own.log)
  const lost = world.truth.kept.filter((id) => !log.has(id))
  if (lost.length > 0) {
    throw new Violation(
      'kept',
      `every server had w${lost.slice(0, 5).join(', w')}, and s${index} lacks it`,
    )
  }
  const gone = world.truth.acked.filter(
    ({ id, waitReplicas }) =>
      waitReplicas > 0 && world.truth.losers.length <= waitReplicas && !log.has(id),
  )
  if (gone.length > 0) {
    const ids = gone.slice(0, 5).map(({ id }) => id)
    throw new Violation(
      'confirmed',
      `replicas had confirmed w${ids.join(', w')}, and s${index} lacks it`,
    )
  }
  checkLoss(world, own)
}

/** What the status says was lost is what was. */
function checkLoss(world: World, primary: Process): void {
  const { lastFailover } = world.api.object.status ?? {}
  const { lostBytes, fromReplId } = lastFailover ?? {}
  if (lostBytes === undefined || fromReplId === undefined || primary.replId2 !== fromReplId) return
  if (lastFailover?.kind === 'Switchover') return
  // A process that goes on from an older disk is taken for the one that was lost.
  if (world.truth.losers.includes(indexOf(lastFailover?.from) ?? -1)) return
  const fork = world.truth.reached[`fork ${fromReplId}`]
  const branch = primary.secondReplOffset - 1
  if (fork === undefined) return
  const expected = Math.max(0, fork - branch)
  if (lostBytes !== expected) {
    throw new Violation(
      'lost bytes',
      `the status says ${lostBytes}, it were ${expected} (branch at ${branch})`,
    )
  }
}

/** The history `replId` came to an end at the primary that wrote it. */
export function noteEnd(world: World, process: Process): void {
  if (!process.isPrimary) return
  const key = `fork ${process.replId}`
  const offset = offsetOf(process)
  if ((world.truth.reached[key] ?? -1) >= offset) return
  world.truth = { ...world.truth, reached: { ...world.truth.reached, [key]: offset } }
}

/** A server is about to come back empty: does anything keep it from overwriting the others? */
export function noteEmptied({ api, servers, truth }: World, emptied: number): readonly number[] {
  const { replicationUser } = api.object.status?.guards ?? {}
  const isInForce = servers.every(
    ({ index, process }) => index === emptied || (process?.sourceUser ?? '') === replicationUser,
  )
  return replicationUser !== undefined && isInForce ? truth.kept : []
}

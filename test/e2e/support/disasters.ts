/**
 * What takes more than a dead pod: a network that is cut, a sidecar that cannot answer, an operator that dies between two
 * steps of a failover, an API server that is away. Only where processes can be seen: in a lab.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { nodeClockSkewMs } from '../../../common/limits.ts'
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { run } from '../../cluster/command.ts'
import { waitFor } from '../../cluster/index.ts'
import { type Writer, type WriterStats, median, settled } from './failover.ts'
import { apiServerProcess, processOf, sidecarProcessOf } from './process-kill.ts'
import { type Figures, type Step, isFullSize, isWanted } from './story.ts'
import { type PodObject, type World, isReady, operatorNamespace } from './world.ts'

interface Outage {
  readonly from: string
  readonly to: string
  readonly proof: string | undefined
  /** From the disaster to the record of the new primary. */
  readonly recordedMs: number
  /** Between two acknowledged writes. */
  readonly longestGapMs: number
  readonly errors: number
  readonly lostBytes: number | undefined
}

interface Around {
  readonly step: Step
  readonly figures: Figures
  readonly trials: number
}

const operatorKillsMax = 3
const apiAwayMs = Number(process.env['RESPMESH_E2E_API_AWAY_MS'] ?? (isFullSize ? 600_000 : 20_000))
/** Longer than downAfter, and shorter than commands are held. */
const hungMs = 3600

export async function disasters(world: World, writer: Writer, around: Around): Promise<void> {
  const { step, figures } = around
  if ((await apiServerProcess(world)) === undefined) {
    await step(
      'processes cannot be seen from here: no networks are cut and no operator is killed',
      async () => {},
    )
    return
  }
  await repeated(world, writer, around, {
    name: 'the primary’s network is cut both ways, a replica takes over',
    figure: 'networkCut',
    disaster: (_t, { from }) => cut(world, from),
  })
  await repeated(world, writer, around, {
    name: 'a sidecar cannot answer and the primary’s container is killed: the kubelet’s word is proof',
    figure: 'killedWithSidecarStopped',
    disaster: async (_t, { from }) => {
      const goOn = await stopSidecar(world)
      await killContainer(world, from)
      return goOn
    },
    check: ({ proof }) => assert.equal(proof, 'ProcessDead'),
  })
  // Each restart of a container has the kubelet wait longer for the next.
  const few = { ...around, trials: Math.min(around.trials, operatorKillsMax) }
  await repeated(world, writer, few, {
    name: 'the operator is killed between the fence and the promotion, and its successor goes on',
    figure: 'operatorKilledInFailover',
    disaster: (t, { from }) => killBoth(world, t, from),
  })
  if (!isWanted('apiAway')) return
  await step('the API server is away: apps notice nothing, and nobody is promoted', async (t) => {
    figures['apiAway'] = await withoutApi(world, writer, t)
  })
}

interface Disaster {
  readonly name: string
  readonly figure: string
  /** @returns what mends it, called once writes go on */
  readonly disaster: (
    t: TestContext,
    before: { readonly from: string },
  ) => Promise<() => Promise<void>>
  readonly check?: (outage: Outage) => void
}

async function repeated(
  world: World,
  writer: Writer,
  { step, figures, trials }: Around,
  { name, figure, disaster, check }: Disaster,
): Promise<void> {
  if (!isWanted(figure)) return
  await step(name, async (t) => {
    const outages: Outage[] = []
    for (let index = 0; index < trials; index += 1) {
      const outage = await outageOf(world, writer, (from) => disaster(t, { from }))
      t.diagnostic(
        `${outage.from} → ${outage.to} (${outage.proof}): recorded after ${outage.recordedMs} ms, no write for ${outage.longestGapMs} ms, ${outage.errors} errors, ${outage.lostBytes ?? 'unknown'} bytes lost`,
      )
      check?.(outage)
      outages.push(outage)
    }
    const verified = await writer.verify()
    const longestGapP50Ms = median(outages.map(({ longestGapMs }) => longestGapMs))
    const { acked, missingCount } = verified
    figures[figure] = {
      outages,
      longestGapP50Ms,
      acknowledgedWrites: acked,
      lostWrites: missingCount,
    }
    assert.equal(missingCount, 0, verified.missing.join(' '))
  })
}

async function outageOf(
  world: World,
  writer: Writer,
  disaster: (from: string) => Promise<() => Promise<void>>,
): Promise<Outage> {
  const former = await longSettled(world)
  const from = former?.primary?.address ?? ''
  const before = await writer.mark()
  const beganMs = Date.now()
  const mend = await disaster(from)
  let sinceMs: number
  try {
    const primary = await waitFor(
      async () => {
        const { status } = await world.redisProxy()
        return (status?.epoch ?? 0) > (former?.epoch ?? 0) && status?.primary
      },
      { what: `a new primary in place of ${from}`, timeoutMs: 90_000 },
    )
    sinceMs = Date.parse(primary.since)
    const longMs = sinceMs + 200
    await waitFor(async () => (await writer.stats()).lastAckMs > longMs, {
      what: 'writes to go on',
      timeoutMs: 30_000,
    })
  } finally {
    await mend()
  }
  const after = await writer.stats()
  await settled(world)
  const { lastFailover } = (await world.redisProxy()).status ?? {}
  return {
    from,
    to: lastFailover?.to ?? '',
    proof: lastFailover?.proof,
    recordedMs: sinceMs - beganMs,
    longestGapMs: after.longestGapMs,
    errors: errorCount(after) - errorCount(before),
    lostBytes: lastFailover?.lostBytes,
  }
}

/** Settled, and with a primary for longer than clocks of nodes may differ: what a kubelet says of a younger one proves nothing. */
async function longSettled(world: World): Promise<RedisProxyStatus | undefined> {
  await settled(world)
  return waitFor(
    async () => {
      const { status } = await world.redisProxy()
      const ageMs = Date.now() - Date.parse(status?.primary?.since ?? '')
      return ageMs > nodeClockSkewMs + 1000 && status
    },
    { what: 'a primary of some age', timeoutMs: 30_000 },
  )
}

function errorCount({ errors }: WriterStats): number {
  return Object.values(errors).reduce((sum, count) => sum + count, 0)
}

const podOf = (address: string) => address.split('.')[0] ?? ''

async function serverProcess(world: World, address: string): Promise<number> {
  const pid = await processOf(await world.pod(podOf(address)), 'redis-server')
  assert.ok(pid, `the process of ${address} is seen`)
  return pid
}

async function killContainer(world: World, address: string): Promise<void> {
  process.kill(await serverProcess(world, address), 'SIGKILL')
}

/** Nothing gets in or out of the pod any more, as if its node were unplugged; what it hears from itself stays. */
async function cut(world: World, address: string): Promise<() => Promise<void>> {
  const pid = await serverProcess(world, address)
  const rules = (verb: string) => async () => {
    for (const rule of ['INPUT ! -i lo', 'OUTPUT ! -o lo']) {
      const args = `-t ${pid} -n iptables -w ${verb} ${rule} -j DROP`
      await run('nsenter', args.split(' '))
    }
  }
  await rules('-I')()
  return rules('-D')
}

/** The sidecar of the pod `app` hears and says nothing. */
async function stopSidecar(world: World): Promise<() => Promise<void>> {
  const pid = await sidecarProcessOf(await world.readyPod('app=app'))
  assert.ok(pid, 'the process of the sidecar is seen')
  process.kill(pid, 'SIGSTOP')
  return async () => void process.kill(pid, 'SIGCONT')
}

async function killBoth(world: World, t: TestContext, from: string): Promise<() => Promise<void>> {
  const selector = 'app.kubernetes.io/component=operator'
  const former = await world.readyPod(selector, operatorNamespace)
  const operator = await processOf(former, 'node')
  assert.ok(operator, 'the process of the operator is seen')
  // So that the fence lasts until the kubelet has told of the container.
  const goOn = await stopSidecar(world)
  try {
    await killContainer(world, from)
    const phase = await waitFor(
      async () => {
        const { status } = await world.redisProxy()
        return status?.intent !== undefined && status.primary === undefined && status.phase
      },
      { what: 'a failover under way', timeoutMs: 30_000, intervalMs: 2 },
    )
    process.kill(operator, 'SIGKILL')
    const killedMs = Date.now()
    const { status } = await world.redisProxy()
    t.diagnostic(`the operator was killed in the phase ${phase}, and left ${status?.phase}`)
    assert.equal(status?.primary, undefined, 'it was killed before it had published')
    const restarts = ({ status: { containerStatuses = [] } }: PodObject) =>
      containerStatuses[0]?.restartCount ?? 0
    await waitFor(
      async () => {
        const pod = await world.pod(former.metadata.name, operatorNamespace)
        return restarts(pod) > restarts(former) && isReady(pod)
      },
      { what: 'the operator to be started again', timeoutMs: 90_000 },
    )
    t.diagnostic(`its successor was ready ${Date.now() - killedMs} ms later`)
  } catch (error) {
    await goOn()
    throw error
  }
  return goOn
}

/** Stops the API server, and for a while the primary as well. Asks everyone directly, for there is nobody else to ask. */
async function withoutApi(world: World, writer: Writer, t: TestContext): Promise<object> {
  await settled(world)
  const former = (await world.redisProxy()).status
  const { metadata, status } = await world.readyPod('app=writer')
  const stats = async () => {
    const signal = AbortSignal.timeout(30_000)
    const response = await fetch(`http://${status.podIP}:8080/stats`, { signal })
    return (await response.json()) as WriterStats
  }
  const api = await apiServerProcess(world)
  const primary = await serverProcess(world, former?.primary?.address ?? '')
  const servers = await Promise.all(
    (former?.members ?? []).map(({ address }) => world.pod(podOf(address))),
  )
  const addresses = servers.map((pod) => pod.status.podIP ?? '')
  assert.ok(api)
  const before = await writer.mark()
  const beganMs = performance.now()
  const during: string[][] = []
  process.kill(api, 'SIGSTOP')
  try {
    // While the operator still holds its lease, and would act if it could record that.
    process.kill(primary, 'SIGSTOP')
    await pause(hungMs)
    process.kill(primary, 'SIGCONT')
    while (performance.now() - beganMs < apiAwayMs) {
      const { acked } = await stats()
      // How long that takes is the machine's business; what must not be is told by errors and gaps.
      await waitFor(async () => (await stats()).acked > acked, {
        what: 'writes to go on without the API server',
        timeoutMs: 60_000,
      })
      during.push(await Promise.all(addresses.map(roleOf)))
      await pause(1000)
    }
  } finally {
    process.kill(primary, 'SIGCONT')
    process.kill(api, 'SIGCONT')
  }
  const awayMs = Math.round(performance.now() - beganMs)
  const away = await stats()
  await waitFor(async () => (await world.pod(metadata.name)).metadata.name === metadata.name, {
    what: 'the API server',
    timeoutMs: 60_000,
  })
  await settled(world)
  const later = (await world.redisProxy()).status
  const after = await writer.stats()
  const seen = [...new Set(during.map((roles) => roles.join(' ')))]
  const figures = {
    awayMs,
    acknowledgedMeanwhile: away.acked - before.acked,
    errors: errorCount(after) - errorCount(before),
    longestGapMs: away.longestGapMs,
    longestGapAfterReturnMs: after.longestGapMs,
    epochs: [former?.epoch, later?.epoch],
    roles: seen,
  }
  t.diagnostic(JSON.stringify(figures))
  assert.equal(later?.epoch, former?.epoch, 'nobody was promoted')
  assert.equal(seen.length, 1, 'no server changed its role')
  assert.equal(seen[0]?.split(' ').filter((role) => role === 'master').length, 1)
  assert.deepEqual(after.errors, before.errors, 'no write failed')
  const verified = await writer.verify()
  assert.equal(verified.missingCount, 0, verified.missing.join(' '))
  return { ...figures, lostWrites: verified.missingCount }
}

/** What a server says of itself when it is asked at its pod’s address. */
async function roleOf(host: string): Promise<string> {
  const { stdout } = await run('redis-cli', ['-h', host, 'role'])
  return stdout.split('\n')[0] ?? ''
}

/** What a server lets be set up, what it does not, and under which names; and how soon its silence is noticed. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { systemClock } from '../../../common/clock.ts'
import { Secret } from '../../../common/secret.ts'
import { Prober } from '../../../operator/backend/index.ts'
import { startCluster } from '../../support/cluster.ts'
import { until } from '../../support/servers.ts'
import { Rig, type RigOptions, isLinkUp, key, programs } from './rig.ts'

const page = readFileSync(new URL('../../../docs/how-to/server-rights.md', import.meta.url), 'utf8')
const [documented = ''] = /^ACL SETUSER respmesh .*$/m.exec(page) ?? []
const credentials = { username: 'respmesh', password: new Secret('SECRET') }

for (const program of await programs()) {
  const title = `${program.name} ${program.version}`
  const start = async (context: TestContext, options: RigOptions = {}) => {
    const rig = await Rig.start({ program, ...options })
    context.after(() => rig.stop())
    return rig
  }
  /** Everything that is ever asked of servers that are no cluster. */
  const everything = async (rig: Rig) => {
    await rig.prober.protect(key, rig.process(0), {
      user: 'respmesh-e1',
      replicas: [rig.process(1)],
    })
    await rig.prober.setMinReplicas(key, rig.process(0), 1)
    await rig.look()
    const { guards } = rig.facts(0) ?? {}
    assert.deepEqual(guards, {
      sourceUser: '',
      replicationUsers: ['respmesh-e1'],
      minReplicas: 1,
      minReplicasMaxLagSeconds: 2,
    })
    await rig.prober.setMinReplicas(key, rig.process(0), 0)
    const users = { user: 'respmesh-e2', replicas: [rig.process(0)] }
    await rig.prober.protect(key, rig.process(1), users)
    const to = rig.process(1)
    await rig.prober.handOver(key, rig.process(0), { to, timeoutMs: 5000 })
    await rig.inSync(1)
    assert.match(await rig.at(1).command('CLIENT', 'LIST', 'TYPE', 'replica'), /user=respmesh-e2/)
    await rig.prober.unprotect(key, rig.process(0))
    await rig.look()
    assert.equal(rig.facts(0)?.guards?.sourceUser, '')
    assert.equal(rig.facts(0)?.guards?.minReplicas, 0)
  }

  test(`${title}: the rights that are documented are enough`, async (context) => {
    const rig = await start(context, { users: [documented], target: { credentials } })
    await everything(rig)
    const all = await rig.at(0).command('ACL', 'DRYRUN', 'respmesh', 'CLUSTER', 'FAILOVER')
    assert.equal(all, '+OK\r\n')
  })

  test(`${title}: commands that were renamed are found`, async (context) => {
    const commands = { replicaof: 'follow', config: 'settings', acl: 'lists', client: 'callers' }
    const args = Object.entries(commands).flatMap(([name, to]) => ['--rename-command', name, to])
    args.push('--rename-command', 'slaveof', '')
    const rig = await Rig.start({ program, args, target: { commands } })
    context.after(() => rig.stop())
    const replica = rig.process(1)
    await rig.prober.protect(key, rig.process(0), { user: 'respmesh-e1', replicas: [replica] })
    await rig.prober.handOver(key, rig.process(0), { to: replica, timeoutMs: 5000 })
    await rig.look()
    assert.equal(rig.facts(1)?.role, 'primary')
    assert.deepEqual(rig.facts(0)?.guards?.replicationUsers, ['respmesh-e1'])
  })

  test(`${title}: what may not be set is said, and the server is well`, async (context) => {
    const users = [documented.replace('+acl|setuser ', '')]
    const rig = await start(context, { users, target: { credentials } })
    assert.equal(rig.facts(0)?.guards?.refused, undefined)
    const protection = { user: 'respmesh-e1', replicas: [rig.process(1)] }
    const failure = await rig.prober
      .protect(key, rig.process(0), protection)
      .catch((error) => error)
    assert.equal(failure.code, 'RM_GUARD_FAILED')
    assert.doesNotMatch(inspect(failure, { depth: 9, showHidden: true }), /SECRET|[0-9a-f]{64}/)
    await rig.look()
    assert.equal(rig.facts(0)?.guards?.refused, 'user respmesh may not run ACL SETUSER')
    assert.equal(await isLinkUp(rig.at(1)), true)

    // That says nothing about replication users.
    const noSet = [documented.replace('+config|set ', '')]
    const unset = await start(context, { users: noSet, target: { credentials } })
    await assert.rejects(unset.prober.setMinReplicas(key, unset.process(0), 1), {
      code: 'RM_GUARD_FAILED',
    })
    await unset.look()
    assert.equal(unset.facts(0)?.guards?.refused, undefined)

    const args = ['--rename-command', 'CONFIG', '', '--rename-command', 'ACL', '']
    const bare = await start(context, { args })
    assert.equal(bare.facts(0)?.guards?.minReplicas, -1)
    assert.match(bare.facts(0)?.guards?.refused ?? '', /CONFIG GET: ERR unknown command/)
    const users2 = { user: 'respmesh-e1', replicas: [bare.process(1)] }
    const other = await bare.prober.protect(key, bare.process(0), users2).catch((error) => error)
    assert.match(other.message, /unknown command/)
    assert.doesNotMatch(inspect(other, { depth: 9, showHidden: true }), /beginning with/)
    await bare.look()
    assert.equal(bare.facts(0)?.role, 'primary')
  })
}

test('a replica of a cluster takes over when it is told to', async (context) => {
  const cluster = await startCluster({ primaries: 1, replicasPerPrimary: 1 })
  context.after(() => cluster.stop())
  const replica = cluster.nodes.at(1)?.server
  assert.ok(replica !== undefined)
  const prober = new Prober({ clock: systemClock })
  context.after(() => prober.stop())
  const address = `${replica.host}:${replica.port}`
  prober.watch(key, [{ address, target: { host: replica.host, port: replica.port } }])
  const facts = () => {
    const state = prober.observations(key)[0]?.state
    return state?.kind === 'up' ? state.facts : undefined
  }
  await until(
    'the replica is in sync',
    () => facts()?.role === 'replica' && facts()?.isLinkUp === true,
  )
  await prober.clusterFailover(key, { address, runId: facts()?.runId ?? '' })
  await until('it has taken over', () => facts()?.role === 'primary')
})

test('a silent server is noticed in the time that is set for it', async (context) => {
  const rig = await Rig.start({ target: { silenceMs: 200 } })
  context.after(() => rig.stop())
  const stoppedMs = systemClock.monotonicMs()
  rig.at(0).signal('SIGSTOP')
  const state = () => rig.prober.observations(key)[0]?.state
  await until('its silence is noticed', () => state()?.kind === 'down')
  const seen = state()
  const noticedMs = systemClock.monotonicMs() - stoppedMs
  assert.ok(seen?.kind === 'down' && seen.failure.kind === 'timeout')
  // It counts from the first look that it did not answer.
  const sinceMs = seen.failure.sinceMs - stoppedMs
  assert.ok(sinceMs > -200 && sinceMs < noticedMs - 150, `since ${sinceMs} ms`)
  assert.ok(noticedMs < 900, `${noticedMs} ms`)
  context.diagnostic(`silent since ${sinceMs.toFixed(0)} ms, noticed at ${noticedMs.toFixed(0)} ms`)
  rig.at(0).signal('SIGCONT')
  await rig.seen()
})

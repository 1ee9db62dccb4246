/** Replicas that log in as a user of the primary's process alone, on servers of several versions. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Secret } from '../../../common/secret.ts'
import { type RedisServer, until } from '../../support/servers.ts'
import { Rig, type RigOptions, isLinkUp, key, programs } from './rig.ts'

const password = 'of the servers'
const credentials = { password: new Secret(password) }

for (const program of await programs()) {
  const title = `${program.name} ${program.version}`
  const start = async (context: TestContext, options: RigOptions = {}) => {
    const rig = await Rig.start({ program, ...options })
    context.after(() => rig.stop())
    return rig
  }

  test(`${title}: a primary that comes back empty overwrites unprotected replicas only`, async (context) => {
    const bare = await start(context)
    const rig = await start(context, { count: 3 })
    await Promise.all([bare, rig].map((each) => each.at(0).command('SET', 'key', 'value')))
    await Promise.all([bare.inSync(0), rig.inSync(0)])
    await protect(rig, { user: 'respmesh-e1', primary: 0, replicas: [1, 2] })
    await rig.look()
    assert.deepEqual(rig.facts(0)?.guards?.replicationUsers, ['respmesh-e1'])
    assert.equal(rig.facts(1)?.guards?.sourceUser, 'respmesh-e1')

    for (const each of [bare, rig]) {
      await each.at(0).kill()
      await each.at(0).restart()
    }
    await until('the unprotected replica is overwritten', () => isEmpty(bare.at(1)))
    const refusals = async () => {
      const log = await rig.at(0).command('ACL', 'LOG')
      const ports = log.split('addr=127.0.0.1:').length - 1
      return Math.max(ports, Number(/count\r\n:(\d+)/.exec(log)?.[1] ?? 0))
    }
    await until('the empty one has refused its replicas', async () => (await refusals()) >= 2)
    for (const index of [1, 2]) {
      assert.match(await rig.at(index).command('GET', 'key'), /value/)
      assert.equal(await isLinkUp(rig.at(index)), false)
    }

    // As the controller goes on: another epoch, with one of them.
    await rig.seen()
    await rig.prober.promote(key, rig.process(1).address, rig.process(1).runId)
    await protect(rig, { user: 'respmesh-e2', primary: 1, replicas: [0, 2] })
    const { host, port } = rig.at(1)
    for (const index of [0, 2]) {
      await rig.prober.replicate(key, rig.process(index), { host, port })
    }
    await rig.inSync(1)
    assert.match(await rig.at(0).command('GET', 'key'), /value/)
  })

  test(`${title}: credentials that a replica had before are given back to it`, async (context) => {
    const rig = await start(context, { password, target: { credentials } })
    await protect(rig, { user: 'respmesh-e7', primary: 0, replicas: [1] })
    await breakLinks(rig.at(0))
    await rig.inSync(0)
    assert.match(await rig.at(0).command('CLIENT', 'LIST', 'TYPE', 'replica'), /user=respmesh-e7/)

    // A replica that was started anew has those of its file, and is told again.
    await rig.at(1).kill()
    await rig.at(1).restart()
    await rig.inSync(0)
    await rig.look()
    assert.equal(rig.facts(1)?.guards?.sourceUser, '')
    await protect(rig, { user: 'respmesh-e7', primary: 0, replicas: [1] })
    await breakLinks(rig.at(0))
    await rig.inSync(0)

    await rig.prober.unprotect(key, rig.process(1))
    assert.match(await rig.at(1).command('CONFIG', 'GET', 'masteruser'), /\$0\r\n/)
    assert.ok((await rig.at(1).command('CONFIG', 'GET', 'masterauth')).includes(password))
    await rig.at(0).command('ACL', 'DELUSER', 'respmesh-e7')
    await rig.inSync(0)
    await rig.look()
    assert.equal(rig.facts(1)?.guards?.sourceUser, '')
  })

  test(`${title}: an operator that was started anew gives the user another password and breaks no link`, async (context) => {
    const rig = await start(context, { count: 3, password, target: { credentials } })
    await protect(rig, { user: 'respmesh-e1', primary: 0, replicas: [1, 2] })
    await breakLinks(rig.at(0))
    await rig.inSync(0)
    const idsBefore = await replicaIds(rig.at(0))
    const before = await hashes(rig.at(0))
    assert.equal(before.length, 1)

    rig.startAnew()
    await rig.seen()
    // Only one is asked for, but the other knows the old password too.
    await protect(rig, { user: 'respmesh-e1', primary: 0, replicas: [1] })
    const after = await hashes(rig.at(0))
    assert.equal(after.length, 1)
    assert.notDeepEqual(after, before)
    assert.ok(await isLinkUp(rig.at(1)))
    assert.equal(idsBefore.length, 2)
    assert.deepEqual(await replicaIds(rig.at(0)), idsBefore)
    await breakLinks(rig.at(0))
    await rig.inSync(0)

    // What they had before is not known any more: they get what the operator has itself.
    rig.startAnew()
    await rig.seen()
    await rig.prober.unprotect(key, rig.process(1))
    assert.ok((await rig.at(1).command('CONFIG', 'GET', 'masterauth')).includes(password))
    await rig.prober.unprotect(key, rig.process(2))
    await rig.at(0).command('ACL', 'DELUSER', 'respmesh-e1')
    await rig.inSync(0)
  })

  test(`${title}: a password stays valid as long as a replica that cannot be told may need it`, async (context) => {
    const rig = await start(context, { count: 3 })
    await protect(rig, { user: 'respmesh-e1', primary: 0, replicas: [1, 2] })
    rig.startAnew()
    await rig.seen()
    await rig.look()
    rig.at(2).signal('SIGSTOP')
    context.after(() => rig.at(2).signal('SIGCONT'))
    await until('it is missed', () => rig.facts(2) === undefined)
    await protect(rig, { user: 'respmesh-e1', primary: 0, replicas: [1] })
    assert.equal((await hashes(rig.at(0))).length, 2)
    rig.at(2).signal('SIGCONT')
    await rig.seen()
    await breakLinks(rig.at(0))
    await rig.inSync(0)
    await protect(rig, { user: 'respmesh-e1', primary: 0, replicas: [1] })
    assert.equal((await hashes(rig.at(0))).length, 1)
    await breakLinks(rig.at(0))
    await rig.inSync(0)
  })
}

async function protect(
  rig: Rig,
  who: { readonly user: string; readonly primary: number; readonly replicas: readonly number[] },
): Promise<void> {
  const replicas = who.replicas.map((index) => rig.process(index))
  await rig.prober.protect(key, rig.process(who.primary), { user: who.user, replicas })
}

/** Replicas come back by themselves, with what they know. */
async function breakLinks(primary: RedisServer): Promise<void> {
  const syncs = async () => {
    const stats = await primary.command('INFO', 'stats')
    const counts = [/sync_full:(\d+)/, /sync_partial_ok:(\d+)/].map(
      (field) => field.exec(stats)?.[1],
    )
    return Number(counts[0]) + Number(counts[1])
  }
  const before = await syncs()
  const reply = await primary.command('CLIENT', 'KILL', 'TYPE', 'replica')
  const count = Number(reply.slice(1))
  assert.ok(count > 0)
  await until('the replicas are back', async () => (await syncs()) >= before + count)
}

/** Of their connections. */
async function replicaIds(primary: RedisServer): Promise<readonly string[]> {
  const list = await primary.command('CLIENT', 'LIST', 'TYPE', 'replica')
  return [...list.matchAll(/\bid=(\d+)/g)].flatMap(([, id]) => id ?? []).sort()
}

async function isEmpty(server: RedisServer): Promise<boolean> {
  return (await server.command('DBSIZE')) === ':0\r\n'
}

/** Of the passwords that the user has. */
async function hashes(server: RedisServer): Promise<readonly string[]> {
  const reply = await server.command('ACL', 'GETUSER', 'respmesh-e1')
  return reply.match(/\b[0-9a-f]{64}\b/g) ?? []
}

/** The topology of a sidecar process as the admin port and `respmesh topology` show it, before real servers. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import type { TopologyAnswer } from '../../../sidecar/admin/index.ts'
import { startCluster } from '../../support/cluster.ts'
import { startReplicated } from '../../support/replicas.ts'
import { startServer, until } from '../../support/servers.ts'
import { configFor } from '../sidecar/harness.ts'
import { type SidecarProcess, startSidecar } from './sidecar-process.ts'

function startWith(
  t: TestContext,
  config: ProxyConfig,
  env: Readonly<Record<string, string>> = {},
): SidecarProcess {
  const folder = mkdtempSync(join(tmpdir(), 'respmesh-topology-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({ ...config, logLevel: 'info' }))
  return startSidecar(t, `--config ${file} --admin 127.0.0.1:0`, env)
}

async function topologyOf(sidecar: SidecarProcess): Promise<TopologyAnswer> {
  const { status, body } = await sidecar.get('/topology')
  assert.equal(status, 200, body)
  return JSON.parse(body) as TopologyAnswer
}

const run = promisify(execFile)
const program = join(import.meta.dirname, '..', '..', '..', 'cli', 'main.ts')

/** Exit code and output of `respmesh topology`. */
async function printed(...args: readonly string[]) {
  return printedWith({}, ...args)
}

async function printedWith(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  try {
    const { stdout } = await run(process.execPath, [program, 'topology', ...args], {
      env: { PATH: process.env['PATH'], ...env },
    })
    return { code: 0, text: stdout }
  } catch (error) {
    const { code, stdout } = error as { readonly code: number; readonly stdout: string }
    return { code, text: stdout }
  }
}

const withoutPrimary = (config: ProxyConfig): ProxyConfig['upstream'] => {
  const { primary: _, ...upstream } = config.upstream
  return upstream
}

test('a cluster behind two workers is shown as one, with what both sent', async (t) => {
  const cluster = await startCluster({ primaries: 3, replicasPerPrimary: 0 })
  t.after(() => cluster.stop())
  const [node] = cluster.nodes
  assert.ok(node)
  const base = configFor({ host: '127.0.0.1', port: node.server.port })
  const upstream = { ...withoutPrimary(base), mode: 'cluster', discovery: 'self' } as const
  const sidecar = startWith(t, { ...base, upstream, workers: 2 })
  await sidecar.adminPort()
  for (let index = 0; index < 30; index += 1) {
    assert.deepEqual(await sidecar.ask('SET', `key:${index}`, 'v'), 'OK')
  }
  await until('all that was sent is shown', async () => {
    const { shards } = await topologyOf(sidecar)
    const sent = shards.flatMap(({ members }) => members.map(({ commandsSent }) => commandsSent))
    return sent.reduce((sum, one) => sum + one, 0) >= 30
  })
  const shown = await topologyOf(sidecar)
  assert.equal(shown.kind, 'cluster')
  assert.deepEqual([shown.serverCount, shown.fitCount, shown.shards.length], [3, 3, 3])
  assert.deepEqual(shown.cluster, {
    state: 'ok',
    slotsCovered: 16_384,
    slotsServed: 16_384,
    slotsAll: 16_384,
  })
  const { body } = await sidecar.get('/metrics')
  assert.match(body, /^respmesh_cluster_slots_covered 16384$/m)
  assert.equal(body.match(/^respmesh_server_up\{[^}]+\} 1$/gm)?.length, 3)
  const admin = `127.0.0.1:${await sidecar.adminPort()}`
  const good = await printed('--admin', `http://${admin}`)
  assert.equal(good.code, 0, good.text)
  assert.match(good.text, /^cluster ok · 3 shards · 3 of 3 servers in use · 16384 of 16384 slots/)
  node.server.signal('SIGKILL')
  await until('its shard is seen to be gone', async () => {
    const { cluster: seen } = await topologyOf(sidecar)
    return seen?.state === 'fail'
  })
  const bad = await printed('--admin', admin)
  assert.equal(bad.code, 1)
  assert.match(bad.text, new RegExp(`127.0.0.1:${node.server.port} +primary +(connecting|failed)`))
  const json = await printed('--admin', admin, '--json')
  assert.equal((JSON.parse(json.text) as TopologyAnswer).cluster?.state, 'fail')
})

test('replicas are shown with their lag, and with what they were sent', async (t) => {
  const backend = await startReplicated({ replicas: 2 })
  t.after(() => backend.stop())
  const { primary, replicas } = backend
  const base = configFor(primary)
  const members = [primary, ...replicas.map(({ server }) => server)].map(({ host, port }) => {
    return { host, port, role: port === primary.port ? 'primary' : 'replica' } as const
  })
  const reads = { policy: 'readsToReplicas', readYourWrites: false } as const
  const upstream = { ...base.upstream, mode: 'replication', members, reads } as const
  const sidecar = startWith(t, { ...base, upstream })
  await sidecar.adminPort()
  assert.deepEqual(await sidecar.ask('SET', 'k', 'v'), 'OK')
  const readsOf = ({ shards }: TopologyAnswer) =>
    shards[0]?.members.filter(({ role }) => role === 'replica') ?? []
  await until('both replicas are read from', async () => {
    await sidecar.ask('GET', 'k')
    const shown = readsOf(await topologyOf(sidecar))
    return shown.length === 2 && shown.every(({ commandsSent, isFit }) => isFit && commandsSent > 0)
  })
  const shown = await topologyOf(sidecar)
  assert.equal(shown.splitsReads, true)
  for (const replica of readsOf(shown)) {
    assert.ok((replica.lagSeconds ?? -1) >= 0, JSON.stringify(replica))
    assert.ok((replica.latencyMs ?? -1) > 0, JSON.stringify(replica))
  }
  const { code, text } = await printed('--admin', `127.0.0.1:${await sidecar.adminPort()}`)
  assert.equal(code, 0, text)
  assert.match(text, /^replication · 3 of 3 servers in use/)
  assert.match(text, /reads go to replicas/)
})

test('where the admin port has users, one of them is asked for', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const users = [{ username: { env: 'WHO' }, password: { env: 'SECRET' } }]
  const config = { ...configFor(server), admin: { host: '127.0.0.1', port: 0, users } }
  const sidecar = startWith(t, config, { WHO: 'me', SECRET: 'p' })
  const admin = `127.0.0.1:${await sidecar.adminPort()}`
  await until('it has its server', async () => (await sidecar.get('/startz')).status === 200)
  assert.equal((await printed('--admin', admin)).code, 1)
  const right = await printedWith(
    { RESPMESH_ADMIN_PASSWORD: 'p' },
    '--admin',
    admin,
    '--user',
    'me',
  )
  assert.equal(right.code, 0, right.text)
  assert.match(right.text, /^standalone · 1 of 1 servers in use/)
})

test('an address where nobody answers, or something else, is named', async () => {
  assert.equal((await printed('--admin', '127.0.0.1:1')).code, 1)
  assert.equal((await printed('--admin', 'http://%')).code, 2)
})

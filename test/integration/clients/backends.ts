/** What stands behind a sidecar of the tours: real servers of each topology, shared by the tests of a file. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { type RedisCluster, startCluster } from '../../support/cluster.ts'
import { startReplicated } from '../../support/replicas.ts'
import type { ServerProgram } from '../../support/server-versions.ts'
import { type RedisServer, freePort, startServer } from '../../support/servers.ts'
import { startSidecar } from '../control/sidecar-process.ts'
import { configFor } from '../sidecar/harness.ts'
import { Disturbance, noDisturbance } from './disturbance.ts'
import { type Proxied, login, upstreamPassword as password } from './support.ts'

export type Topology = 'cluster' | 'replication' | 'ring'
export type Presented = 'server' | 'sidecar' | 'nodes'

/** Servers, all of which want the password of the sidecar. */
export interface Backend {
  readonly topology: Topology
  /** Those that take writes. */
  readonly servers: readonly RedisServer[]
  readonly members: readonly { readonly host: string; readonly port: number }[]
  readonly cluster: RedisCluster | undefined
  /** Waits until what was written is everywhere where it is read. */
  settle(): Promise<void>
  /** Without data, scripts and functions, as it began. */
  clear(): Promise<void>
  stop(): Promise<void>
}

export async function startBackend(topology: Topology, program?: ServerProgram): Promise<Backend> {
  const options = { password, ...(program && { program }) }
  if (topology === 'cluster') return clusterBackend(await startCluster(options))
  if (topology === 'replication') return replicatedBackend(options)
  const servers = await Promise.all(Array.from({ length: 3 }, () => startServer(options)))
  return {
    topology,
    servers,
    members: servers,
    cluster: undefined,
    settle: () => Promise.resolve(),
    clear: () => clear(servers),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}

function clusterBackend(cluster: RedisCluster): Backend {
  const servers = cluster.nodes.map(({ server }) => server)
  return {
    topology: 'cluster',
    servers,
    members: servers,
    cluster,
    settle: () => Promise.resolve(),
    clear: () => clear(servers),
    stop: () => cluster.stop(),
  }
}

async function replicatedBackend(options: Parameters<typeof startReplicated>[0]): Promise<Backend> {
  const rig = await startReplicated(options)
  const settle = async () =>
    void (await Promise.all(rig.replicas.map((replica) => rig.inStep(replica))))
  return {
    topology: 'replication',
    servers: [rig.primary],
    members: [rig.primary, ...rig.replicas.map(({ server }) => server)],
    cluster: undefined,
    settle,
    clear: async () => {
      await clear([rig.primary])
      await settle()
    },
    stop: () => rig.stop(),
  }
}

/** Replicas refuse it, and take it from their primaries. */
async function clear(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) {
    await server.command('FLUSHALL')
    await server.command('FUNCTION', 'FLUSH')
    await server.command('SCRIPT', 'FLUSH')
  }
}

export interface Before {
  readonly hasLogin?: boolean
  readonly present?: Presented
}

/** What clients log in with, if they do. */
export type Login = Partial<typeof login>

/** A sidecar before a backend that was just cleared. */
export async function startBefore(
  t: TestContext,
  backend: Backend,
  { hasLogin = false, present = 'server' }: Before = {},
): Promise<Proxied & { readonly login: Login }> {
  await backend.clear()
  const [first] = backend.servers
  if (first === undefined) throw new Error('a backend without servers')
  const file = join(first.directory, 'sidecar.json')
  const port = await freePort()
  const config = configFor(first, {
    listeners: [{ host: '127.0.0.1', port }],
    upstream: upstreamOf(backend, present),
  })
  const { primary: _, ...upstream } = config.upstream
  writeFileSync(file, JSON.stringify({ ...config, upstream }))
  // Clients that are sent to the nodes log in there as they did here.
  const other = present === 'nodes' ? { username: 'default', password } : undefined
  const client: Login = other ?? (hasLogin ? login : {})
  const sidecar = () =>
    startSidecar(t, `--config ${file} --admin 127.0.0.1:0 --log-level info`, {
      RESPMESH_UPSTREAM_PASSWORD: password,
      ...(client.username && { RESPMESH_CLIENT_USERNAME: client.username }),
      ...(client.password && { RESPMESH_CLIENT_PASSWORD: client.password }),
    })
  let running = sidecar()
  await running.port()
  const { cluster } = backend
  const disturbance = cluster === undefined ? noDisturbance : new Disturbance(cluster)
  t.after(() => disturbance.calm())
  return {
    topology: backend.topology,
    login: client,
    port,
    server: first,
    restart: async () => {
      running.signal('SIGTERM')
      await running.ended
      running = sidecar()
      await running.port()
    },
    metric: () => Promise.reject(new Error('not asked for here')),
    flushScripts: async () => {
      for (const server of backend.servers) await server.command('SCRIPT', 'FLUSH')
    },
    settle: () => backend.settle(),
    disturb: () => disturbance.begin(),
    calm: () => disturbance.calm(),
  }
}

function upstreamOf(
  { topology, members }: Backend,
  present: Presented,
): Partial<ProxyConfig['upstream']> {
  const places = members.map(({ host, port }) => ({ host, port, role: 'unknown' as const }))
  const upstream = { mode: topology, discovery: 'self', members: places } as const
  if (topology === 'cluster') return { ...upstream, cluster: { present } }
  if (topology === 'ring') return { ...upstream, ring: { hashTag: '{}' } }
  return { ...upstream, reads: { policy: 'readsToReplicas' } }
}

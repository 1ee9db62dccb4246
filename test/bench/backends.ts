/** The servers behind the targets: one, clusters, a primary with replicas. */
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendName, Endpoint } from './model.ts'
import { flags, type Processes, type Running } from './processes.ts'
import { ask, freePort } from './resp-client.ts'

const slotCount = 16_384
const readyPatienceMs = 30_000
const retryMs = 100
/** Bus ports are so far above; a client port below the rest leaves them valid. */
const busOffset = 10_000
const portMax = 65_535

export interface Server {
  readonly running: Running
  readonly endpoint: Endpoint & { readonly kind: 'tcp' }
}

export interface Backend {
  readonly name: BackendName
  /** Of a cluster all nodes; otherwise the primary first. */
  readonly servers: readonly Server[]
  /** Where `direct` clients of it connect that speak no cluster. */
  readonly socketPath: string
}

export interface BackendModules {
  readonly program: string
  readonly processes: Processes
  readonly signal: AbortSignal
  /** Waits until the server answers. */
  readonly ready: (running: Running, endpoint: Endpoint) => Promise<void>
}

/** How many servers each has, and how many of them share the keys. */
export const backendSizes: Readonly<Record<BackendName, { primaries: number; replicas: number }>> =
  {
    single: { primaries: 1, replicas: 0 },
    cluster1: { primaries: 1, replicas: 0 },
    cluster3: { primaries: 3, replicas: 0 },
    replicas2: { primaries: 1, replicas: 2 },
  }

export const isCluster = (name: BackendName): boolean => name.startsWith('cluster')

/** @throws Error when it does not become ready in time */
export async function startBackend(name: BackendName, modules: BackendModules): Promise<Backend> {
  const { primaries, replicas } = backendSizes[name]
  const socketPath = `${modules.processes.directory}/${name}.sock`
  const servers: Server[] = []
  for (let at = 0; at < primaries + replicas; at += 1) {
    servers.push(await startOne(name, at, { socketPath, first: servers[0], modules }))
  }
  const backend = { name, servers, socketPath }
  if (isCluster(name)) await form(backend)
  await until(() => isWhole(backend), modules.signal)
  return backend
}

async function startOne(
  name: BackendName,
  at: number,
  of: { socketPath: string; first: Server | undefined; modules: BackendModules },
): Promise<Server> {
  const { socketPath, first, modules } = of
  const { processes } = modules
  const port = await portFor(name)
  const running = processes.start(
    `${name}-${at}`,
    modules.program,
    flags({
      '--bind': '127.0.0.1',
      '--port': port,
      ...(at === 0 && { '--unixsocket': socketPath }),
      ...(isCluster(name) && {
        '--cluster-enabled': 'yes',
        '--cluster-config-file': `nodes-${name}-${at}.conf`,
      }),
      ...(!isCluster(name) && first && { '--replicaof': `127.0.0.1 ${first.endpoint.port}` }),
      '--save': '',
      '--appendonly': 'no',
      '--repl-diskless-sync-delay': 0,
      '--dir': processes.directory,
      '--daemonize': 'no',
    }),
  )
  const endpoint = { kind: 'tcp', port } as const
  await modules.ready(running, endpoint)
  return { running, endpoint }
}

async function portFor(name: BackendName): Promise<number> {
  for (;;) {
    const port = await freePort()
    if (!isCluster(name) || port + busOffset <= portMax) return port
  }
}

async function form({ servers }: Backend): Promise<void> {
  const [first] = servers
  for (const [index, server] of servers.entries()) {
    const start = Math.floor((index * slotCount) / servers.length)
    const end = Math.floor(((index + 1) * slotCount) / servers.length) - 1
    await command(server, ['CLUSTER', 'ADDSLOTSRANGE', String(start), String(end)])
    await command(server, ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)])
  }
  for (const server of servers.slice(1)) {
    if (first) await command(first, ['CLUSTER', 'MEET', '127.0.0.1', String(server.endpoint.port)])
  }
}

async function isWhole({ name, servers }: Backend): Promise<boolean> {
  if (!isCluster(name)) {
    const infos = await Promise.all(servers.slice(1).map((one) => command(one, ['ROLE'])))
    return infos.every((info) => info.includes('connected'))
  }
  const infos = await Promise.all(servers.map((one) => command(one, ['CLUSTER', 'INFO'])))
  const isKnown = `cluster_known_nodes:${servers.length}\r`
  return infos.every((info) => info.includes('cluster_state:ok') && info.includes(isKnown))
}

async function command(server: Server, words: readonly string[]): Promise<string> {
  // What is asked here comes in one piece.
  const reply = await ask(server.endpoint, words, (text) => text.endsWith('\r\n'))
  if (reply.startsWith('-')) throw new Error(`${words.join(' ')}: ${reply.trim()}`)
  return reply
}

async function until(isTrue: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + readyPatienceMs
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error('the servers did not find each other in time')
    await delay(retryMs, undefined, { signal })
  }
}

/** What the hostile clients meet: a proxy process before a server of its own, respmesh or a peer. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import { Processes, type Running } from '../bench/processes.ts'
import { bundle, proxies } from '../bench/targets.ts'
import { freePort, type RedisServer, startServer, until } from '../support/servers.ts'
import { ask } from './wire.ts'

export interface Site {
  readonly name: string
  readonly server: RedisServer
  readonly port: number
  readonly pid: () => number
  readonly isAlive: () => boolean
  /** Starts the proxy again if it died. */
  readonly revive: () => Promise<void>
  readonly logTail: () => string
  readonly stop: () => Promise<void>
}

export interface SidecarOptions {
  readonly password?: string
  readonly changes?: Partial<
    Pick<ProxyConfig, 'commands'> & {
      limits: Partial<ProxyConfig['limits']>
      timing: Partial<ProxyConfig['timing']>
    }
  >
  /** Something else than a server of its own. */
  readonly upstreamPort?: number
  readonly usesSources?: boolean
}

const root = join(import.meta.dirname, '..', '..')

/** A respmesh process, as in the image unless told otherwise. @throws Error where no bundle was made. */
export async function startSidecar(options: SidecarOptions = {}): Promise<Site> {
  const program = options.usesSources === true ? join(root, 'cli', 'main.ts') : bundle
  if (!existsSync(program)) throw new Error(`${program} is not there: npm run bundle makes it`)
  const server = await startServer()
  return startSite('respmesh', server, async (processes) => {
    const port = await freePort()
    const passwordFile = join(processes.directory, 'password')
    writeFileSync(passwordFile, options.password ?? '')
    const config = sidecarConfig(options, { port, serverPort: server.port, passwordFile })
    const file = join(processes.directory, 'config.json')
    writeFileSync(file, JSON.stringify(config))
    const args = ['--disable-warning=ExperimentalWarning', program, 'sidecar', '--config', file]
    return { port, running: processes.start('respmesh', process.execPath, args) }
  })
}

function sidecarConfig(
  options: SidecarOptions,
  place: { readonly port: number; readonly serverPort: number; readonly passwordFile: string },
): ProxyConfig {
  const base = standaloneConfig({
    members: [{ host: '127.0.0.1', port: options.upstreamPort ?? place.serverPort }],
    listeners: [{ host: '127.0.0.1', port: place.port }],
    logLevel: 'error',
    ...(options.password !== undefined && {
      clientAuth: { users: [{ password: { file: place.passwordFile } }] },
    }),
  })
  const { changes } = options
  return {
    ...base,
    ...(changes?.commands && { commands: changes.commands }),
    limits: { ...base.limits, ...changes?.limits },
    timing: { ...base.timing, ...changes?.timing },
  }
}

/** Those of the peers that this machine has, and the names of the others. */
export function findPeers(names: readonly string[]): {
  readonly found: readonly string[]
  readonly missing: readonly string[]
} {
  const isThere = (name: string) => proxies.find((proxy) => proxy.name === name)?.find()
  return {
    found: names.filter((name) => isThere(name) !== undefined),
    missing: names.filter((name) => isThere(name) === undefined),
  }
}

export async function startPeer(name: string): Promise<Site> {
  const proxy = proxies.find((proxy) => proxy.name === name)
  const program = proxy?.find()
  if (proxy === undefined || program === undefined) throw new Error(`${name} is not installed`)
  const server = await startServer()
  return startSite(name, server, async (processes) => {
    const port = await freePort()
    const adminPort = await freePort()
    const { directory } = processes
    const serverPort = server.port
    const site = { directory, serverPort, serverPorts: [serverPort], listenPort: port, adminPort }
    return { port, running: processes.start(name, program, proxy.launch(site).args) }
  })
}

/** The server itself, for what it does without anyone before it. */
export async function startDirect(): Promise<Site> {
  const server = await startServer()
  return {
    name: 'direct',
    server,
    port: server.port,
    pid: () => server.pid,
    isAlive: () => existsSync(`/proc/${server.pid}`),
    revive: () => Promise.resolve(),
    logTail: () => '',
    stop: () => server.stop(),
  }
}

interface Launched {
  readonly port: number
  readonly running: Running
}

async function startSite(
  name: string,
  server: RedisServer,
  launch: (processes: Processes) => Promise<Launched>,
): Promise<Site> {
  const processes = new Processes()
  try {
    const first = await launch(processes)
    let { running } = first
    const args = readFileSync(`/proc/${running.pid}/cmdline`, 'latin1').split('\0').slice(0, -1)
    await answers(name, first.port, running)
    return {
      name,
      server,
      port: first.port,
      pid: () => running.pid,
      isAlive: () => !running.hasEnded(),
      revive: async () => {
        if (!running.hasEnded()) return
        running = processes.start(name, args[0] as string, args.slice(1))
        await answers(name, first.port, running)
      },
      logTail: () => running.logTail(),
      stop: async () => {
        await processes.end()
        await server.stop()
      },
    }
  } catch (error) {
    await processes.end()
    await server.stop()
    throw error
  }
}

async function answers(name: string, port: number, running: Running): Promise<void> {
  await until(`${name} answers`, async () => {
    if (running.hasEnded()) throw new Error(`${name} ended: ${running.logTail()}`)
    // Any answer will do: some ask for a password, some know no PING.
    return (await ask(port, 'GET', 'nothing').catch(() => '')) !== ''
  })
}

/** Everything of a laptop put together: servers, stream, provider, controller, sidecars; one folder for all. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../common/clock.ts'
import { StopStack } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import { Secret } from '../../common/secret.ts'
import { type RedisProxy, keyOf } from '../api/redis-proxy.ts'
import { listenerTls } from '../controller/compile.ts'
import { Controller } from '../controller/controller.ts'
import type { ProxyEvent, SidecarView } from '../controller/provider.ts'
import { createStreamServer, createToken, sharedTokenAuthentication } from '../stream/index.ts'
import { Guard } from './guard.ts'
import { freePort } from './ports.ts'
import { LocalProvider } from './provider.ts'
import { arrangementOf } from './arrangement.ts'
import { LocalSentinels } from './sentinels.ts'
import { LocalServers } from './servers.ts'
import {
  type ListenerFiles,
  type LocalSidecar,
  LocalSidecars,
  type SidecarPorts,
} from './sidecars.ts'

export interface WorldOptions {
  readonly proxy: RedisProxy
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** Program to start one server per endpoint with; absent: the endpoints are servers that exist. */
  readonly serverProgram?: string
  readonly serverPort?: number
  readonly restartAfterMs?: number
  /** Absent: no sidecar processes. */
  readonly sidecars?: {
    readonly command: readonly [string, ...string[]]
    readonly count: number
    readonly port: number
  }
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface WorldModules {
  readonly clock: Clock
  readonly log: Log
  readonly onEvent: (event: ProxyEvent) => void
}

export interface LocalWorld {
  readonly provider: LocalProvider
  readonly servers: LocalServers | undefined
  /** The resource with its status as it is now. */
  proxy(): RedisProxy
  /** The processes that were started. */
  sidecars(): readonly LocalSidecar[]
  /** What the connected ones said. */
  sidecarViews(): readonly SidecarView[]
  /** Calls back when the status or a sidecar changes. Returns the way to stop. */
  onChange(listener: () => void): () => void
  /** Stops the controller and starts another one, as a crash of the operator would. */
  restartController(): Promise<void>
  /** Ends everything that was started and removes the folder. */
  stop(): Promise<void>
}

const serverPortWanted = 16401
const busPortWanted = 17401
const sentinelPortWanted = 18401

/** @throws SystemError RM_LOCAL_START, RM_LISTEN_FAILED; nothing is left behind then */
export async function startWorld(
  options: WorldOptions,
  modules: WorldModules,
): Promise<LocalWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-'))
  const stack = new StopStack()
  stack.add('folder', { stop: async () => rmSync(directory, { recursive: true, force: true }) })
  const guard = stack.add('guard', new Guard(directory))
  try {
    return await assemble(options, modules, { directory, stack, guard })
  } catch (error) {
    await stack.stop()
    throw error
  }
}

interface Ground {
  readonly directory: string
  readonly stack: StopStack
  readonly guard: Guard
}

async function assemble(
  options: WorldOptions,
  modules: WorldModules,
  ground: Ground,
): Promise<LocalWorld> {
  const { stack, directory } = ground
  const taken = new Set<number>()
  const servers = await startServers(options, modules, { ...ground, taken })
  const sentinels =
    servers && (await startSentinels(options, modules, { ...ground, taken, servers }))
  const proxy =
    servers === undefined ? options.proxy : withEndpoints(options.proxy, servers, sentinels ?? [])
  const token = createToken()
  const tokenFile = join(directory, 'stream-token')
  writeFileSync(tokenFile, token, { mode: 0o600 })
  const stream = stack.add(
    'stream',
    createStreamServer({ authenticate: sharedTokenAuthentication(token) }, modules),
  )
  const { port } = await stream.listen({ host: '127.0.0.1', port: 0 })
  let sidecars: LocalSidecars | undefined
  const provider = new LocalProvider(
    { proxy, secrets: options.secrets, directory: join(directory, 'secrets') },
    {
      publisher: stream.publisher,
      onEvent: modules.onEvent,
      expectedSidecars: () => sidecars?.ids() ?? [],
      ...(servers && { fateOf: (address, sinceMs) => servers.fateOf(address, sinceMs) }),
    },
  )
  provider.writeSecretFiles()
  const streamUrl = `http://127.0.0.1:${port}`
  const tls = listenerTls(proxy, provider)
  const places = { ...ground, taken, streamUrl, tokenFile, ...(tls && { tls }) }
  sidecars = await prepareSidecars(options, modules, places)
  let controller = new Controller({ provider, ...modules })
  stack.add('controller', { stop: () => controller.stop() })
  controller.start()
  if (sidecars !== undefined) {
    stack.add('sidecars', sidecars)
    await sidecars.start()
  }
  const key = keyOf(proxy)
  return {
    provider,
    servers,
    proxy: () => provider.get(key) ?? proxy,
    sidecars: () => sidecars?.list() ?? [],
    sidecarViews: () => stream.publisher.sidecars(key),
    onChange(listener) {
      const stops = [provider.onChange(listener), stream.publisher.onChange(listener)]
      return () => {
        for (const stop of stops) stop()
      }
    },
    async restartController() {
      await controller.stop()
      controller = new Controller({ provider, ...modules })
      controller.start()
    },
    stop: () => stack.stop(),
  }
}

async function startServers(
  options: WorldOptions,
  { onEvent }: WorldModules,
  { directory, stack, guard, taken }: Ground & { readonly taken: Set<number> },
): Promise<LocalServers | undefined> {
  const { serverProgram: program, proxy, env, restartAfterMs } = options
  if (program === undefined) return undefined
  const { endpoints } = proxy.spec.backend
  const arrangement = arrangementOf(proxy.spec)
  const ports = await takePorts(endpoints.length, options.serverPort ?? serverPortWanted, taken)
  const busPorts =
    arrangement === 'cluster' ? await takePorts(endpoints.length, busPortWanted, taken) : undefined
  const tell = (reason: string, message: string) =>
    onEvent({ type: 'Normal', reason, action: 'Supervise', message })
  const password = passwordOf(options)
  const servers = new LocalServers(
    {
      program,
      arrangement,
      ports,
      ...(busPorts && { busPorts }),
      directory,
      env,
      ...(password && { password }),
      ...(restartAfterMs !== undefined && { restartAfterMs }),
    },
    {
      guard,
      events: {
        onStart: (address, pid) => tell('ServerStarted', `${address} started (pid ${pid})`),
        onExit: (address, how) => tell('ServerExited', `${address} ended (${how})`),
      },
    },
  )
  stack.add('servers', servers)
  await servers.start()
  return servers
}

async function takePorts(count: number, first: number, taken: Set<number>): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = await freePort((ports.at(-1) ?? first - 1) + 1, taken)
    taken.add(port)
    ports.push(port)
  }
  return ports
}

/** @returns the ports of the Sentinels, in the order of the spec; undefined: there are none */
async function startSentinels(
  { proxy, secrets, serverProgram, env }: WorldOptions,
  { onEvent }: WorldModules,
  ground: Ground & { readonly taken: Set<number>; readonly servers: LocalServers },
): Promise<readonly number[] | undefined> {
  const { sentinel, auth } = proxy.spec.backend
  if (sentinel === undefined || serverProgram === undefined) return undefined
  const { directory, guard, stack, taken, servers } = ground
  const ports = await takePorts(sentinel.endpoints.length, sentinelPortWanted, taken)
  const password = passwordIn(secrets, proxy, auth?.adminSecretRef ?? auth?.secretRef)
  const ownPassword = passwordIn(secrets, proxy, sentinel.auth?.secretRef)
  const sentinels = new LocalSentinels(
    {
      program: serverProgram,
      ports,
      name: sentinel.name,
      primaryPort: portOf(servers.addresses()[0]),
      ...(password && { password }),
      ...(ownPassword && { ownPassword }),
      directory,
      env,
    },
    {
      guard,
      onExit: (address, how) =>
        onEvent({
          type: 'Warning',
          reason: 'ServerExited',
          action: 'Supervise',
          message: `Sentinel ${address} ended (${how})`,
        }),
    },
  )
  stack.add('sentinels', sentinels)
  await sentinels.start()
  return ports
}

function portOf(address: string | undefined): number {
  return Number((address ?? '').split(':')[1])
}

async function prepareSidecars(
  { sidecars, env, proxy }: WorldOptions,
  { onEvent }: WorldModules,
  ground: Ground & {
    readonly taken: Set<number>
    readonly streamUrl: string
    readonly tokenFile: string
    readonly tls?: ListenerFiles
  },
): Promise<LocalSidecars | undefined> {
  if (sidecars === undefined) return undefined
  const { taken, guard, directory, streamUrl, tokenFile, tls } = ground
  const ports: SidecarPorts[] = []
  const take = async (wanted: number) => {
    const port = await freePort(wanted, taken)
    taken.add(port)
    return port
  }
  for (let index = 0; index < sidecars.count; index += 1) {
    const listen = await take(sidecars.port + 2 * index)
    const admin = await take(listen + 1)
    const wanted = proxy.spec.proxy.tls?.port
    ports.push({ listen, admin, ...(wanted !== undefined && { tls: await take(wanted + index) }) })
  }
  const onExit = (id: string, how: string) =>
    onEvent({
      type: 'Warning',
      reason: 'SidecarExited',
      action: 'Supervise',
      message: `${id} ended (${how}); starting it again`,
    })
  return new LocalSidecars(
    {
      command: sidecars.command,
      ports,
      directory,
      env,
      streamUrl,
      tokenFile,
      proxy: keyOf(proxy),
      hasUnixSocket: proxy.spec.proxy.unixSocket !== undefined,
      ...(tls && { tls }),
    },
    { guard, onExit },
  )
}

function withEndpoints(
  proxy: RedisProxy,
  servers: LocalServers,
  sentinelPorts: readonly number[],
): RedisProxy {
  const { backend } = proxy.spec
  const { sentinel } = backend
  const addresses = servers.addresses()
  const endpoints = backend.endpoints.map((endpoint, index) => ({
    ...endpoint,
    host: '127.0.0.1',
    port: portOf(addresses[index]),
  }))
  const watchers = sentinelPorts.map((port) => ({ host: '127.0.0.1', port }))
  const local = {
    ...backend,
    endpoints,
    ...(sentinel && { sentinel: { ...sentinel, endpoints: watchers } }),
  }
  return { ...proxy, spec: { ...proxy.spec, backend: local } }
}

/** Servers that we start ask for the password that the manifest says they have. */
function passwordOf({ proxy, secrets }: WorldOptions): Secret | undefined {
  const { auth } = proxy.spec.backend
  return passwordIn(secrets, proxy, auth?.adminSecretRef ?? auth?.secretRef)
}

function passwordIn(
  secrets: WorldOptions['secrets'],
  { metadata }: RedisProxy,
  ref: { readonly name: string } | undefined,
): Secret | undefined {
  const password = secrets.get(`${metadata.namespace}/${ref?.name ?? ''}`)?.['password']
  return password === undefined ? undefined : new Secret(password)
}

/**
 * Clients of raw listeners: bytes pass both ways between each and the present primary, unread. Nothing is held, routed
 * or refused, and a pause does not concern them.
 *
 * The server is made sure of as for every other connection, then the connection is RESET: what the sidecar logs in with
 * is not given away, and a client logs in by itself. All of them end in the same turn in which the primary changes, so
 * that none can write to an old one.
 */
import type { Socket } from 'node:net'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { UpstreamError } from '../../common/errors.ts'
import { rawPipesMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import { listenerKey } from '../net/listener.ts'
import { textOf } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import type { UpstreamAccess } from '../upstream/access.ts'
import { type Target, connectServer } from '../upstream/connect.ts'
import { isSameTarget, targetOf } from '../upstream/target.ts'

export interface RawModules {
  readonly access: UpstreamAccess
  readonly counters: DataPlaneCounters
  readonly log: Log
  /** False: the primary may not be used any more, and all that leads to it has been closed. */
  readonly mayPass: () => boolean
}

/** What leads to one primary. */
interface Generation {
  readonly target: Target
  readonly abort: AbortController
}

const resetCommand = encodeCommand(['RESET'])

export class RawPipes {
  private readonly modules: RawModules
  private readonly clients = new Set<Socket>()
  private listeners: ReadonlySet<string> = new Set()
  private generation: Generation | undefined

  constructor(modules: RawModules) {
    this.modules = modules
  }

  /** Obeys `config`; whatever leads to another primary than it names is closed when this returns. */
  use(config: ProxyConfig): void {
    const { mode, primary } = config.upstream
    this.listeners = new Set(config.listeners.filter(({ raw }) => raw === true).map(listenerKey))
    const isOne = mode === 'standalone' || mode === 'replication'
    const target = isOne ? targetOf(config, primary) : undefined
    if (isSameTarget(this.generation?.target, target)) return
    this.close()
    this.generation = target && { target, abort: new AbortController() }
  }

  /** Whether the clients of a listener are its. */
  owns(key: string): boolean {
    return this.listeners.has(key)
  }

  get count(): number {
    return this.clients.size
  }

  accept(client: Socket): void {
    const { counters, log } = this.modules
    const { generation } = this
    client.on('error', () => {})
    if (generation === undefined || this.clients.size >= rawPipesMax) {
      counters.clientsRefused += 1
      client.destroy()
      return
    }
    counters.rawAccepted += 1
    this.clients.add(client)
    client.once('close', () => this.clients.delete(client))
    this.join(client, generation).catch((err: unknown) => {
      if (!generation.abort.signal.aborted) log.warn({ err }, 'a raw client could not be connected')
      client.destroy()
    })
  }

  /** Ends all that are there. */
  terminate(): void {
    const { generation } = this
    this.close()
    this.generation = generation && { ...generation, abort: new AbortController() }
  }

  /** The same, and takes no more. */
  close(): void {
    this.generation?.abort.abort()
    this.generation = undefined
    for (const client of this.clients) client.destroy()
  }

  private async join(client: Socket, { target, abort }: Generation): Promise<void> {
    const server = await this.connect(target, abort.signal)
    const end = () => void server.destroy()
    abort.signal.addEventListener('abort', end)
    client.once('close', end)
    server.once('close', (hasFailed: boolean) => {
      abort.signal.removeEventListener('abort', end)
      // What it said before it left is still written.
      if (hasFailed) client.destroy()
      else client.destroySoon()
    })
    if (abort.signal.aborted || client.destroyed) {
      server.destroy()
      return
    }
    // Before anything is passed on: a process that was suspended reads before its timers run.
    for (const side of [client, server]) side.on('data', () => void this.modules.mayPass())
    client.pipe(server)
    server.pipe(client)
  }

  /** @throws UpstreamError, ConfigError as `connectServer` */
  private async connect(target: Target, signal: AbortSignal): Promise<Socket> {
    const modules = { ...this.modules, heard: { bytes: 0 } }
    const { connection } = await connectServer(target, 2, modules, signal)
    const { socket } = connection
    const timer = setTimeout(() => connection.destroy(), target.connectTimeoutMs)
    try {
      const [reply] = await connection.ask(resetCommand, 1)
      if (textOf(reply) !== 'RESET') {
        connection.destroy()
        throw new UpstreamError(
          'RM_UPSTREAM_CONNECT',
          `the server cannot forget a login, which a raw listener needs; it answers RESET by: ${textOf(reply)}`,
        )
      }
    } finally {
      clearTimeout(timer)
    }
    socket.pause()
    socket.removeAllListeners('data').removeAllListeners('end')
    socket.allowHalfOpen = true
    return socket
  }
}

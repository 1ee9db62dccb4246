/** A real primary and real replicas for tests, which lag, load or lose their link when told to. */
import {
  type AddressInfo,
  type Server,
  type Socket,
  createConnection,
  createServer,
} from 'node:net'
import { type RedisServer, startServer, until } from './servers.ts'

const inStepDeadlineMs = 30_000
/** Keys for a replica to load; with the delay, it takes half a minute unless it is ended. */
const loadedKeyCount = 30_000
const delayPerKeyMicros = 1000

export interface ReplicatedOptions {
  readonly replicas?: number
  readonly program?: { readonly command: readonly string[] }
  readonly password?: string
  readonly args?: readonly string[]
  /** Replicas follow through a link that `pauseLink` can hold; they name the link’s port as their primary’s. */
  readonly hasLinks?: boolean
}

export async function startReplicated(options: ReplicatedOptions = {}): Promise<ReplicatedServers> {
  const { password, program, args } = options
  const common = {
    ...(password !== undefined && { password }),
    ...(program && { program }),
    args: [...(args ?? []), '--repl-timeout', '5', '--repl-ping-replica-period', '1'],
  }
  const primary = await startServer(common)
  const rig = new ReplicatedServers(primary, options)
  try {
    const count = options.replicas ?? 2
    await Promise.all(Array.from({ length: count }, () => rig.addReplica()))
    return rig
  } catch (error) {
    await rig.stop()
    throw error
  }
}

/** A replica, and the link through which it follows if it has one. */
export interface Replica {
  readonly server: RedisServer
  readonly link: Link | undefined
}

export class ReplicatedServers {
  readonly primary: RedisServer
  private readonly options: ReplicatedOptions
  private readonly list: Replica[] = []

  constructor(primary: RedisServer, options: ReplicatedOptions) {
    this.primary = primary
    this.options = options
  }

  get replicas(): readonly Replica[] {
    return this.list
  }

  async addReplica(): Promise<Replica> {
    const { password, program, args, hasLinks } = this.options
    const { host, port } = this.primary
    const link = hasLinks === true ? await Link.open(port) : undefined
    const server = await startServer({
      ...(password !== undefined && { password }),
      ...(program && { program }),
      replicaOf: { host, port: link?.port ?? port },
      args: [...(args ?? []), '--repl-timeout', '5', '--repl-diskless-load', 'disabled'],
    })
    const replica = { server, link }
    this.list.push(replica)
    await this.inStep(replica)
    return replica
  }

  async removeReplica(replica: Replica): Promise<void> {
    this.list.splice(this.list.indexOf(replica), 1)
    await replica.server.stop()
    await replica.link?.close()
  }

  /** Waits until it has all that the primary has written. */
  async inStep({ server }: Replica): Promise<void> {
    await until(
      `the replica at ${server.port} is in step`,
      async () => {
        const text = await server.command('INFO', 'replication')
        if (!/master_link_status:up/.test(text)) return false
        const own = Number(/^slave_repl_offset:(\d+)/m.exec(text)?.[1])
        return own >= Number(await this.primary.info('master_repl_offset'))
      },
      inStepDeadlineMs,
    )
  }

  /** SIGSTOP: it takes connections, says nothing and stays behind. */
  pause({ server }: Replica): void {
    server.signal('SIGSTOP')
  }

  resume({ server }: Replica): void {
    server.signal('SIGCONT')
  }

  /** It answers, with what it has, and learns nothing new. */
  pauseLink(replica: Replica): void {
    this.linkOf(replica).pause()
  }

  resumeLink(replica: Replica): void {
    this.linkOf(replica).resume()
  }

  private linkOf({ link }: Replica): Link {
    if (link === undefined) throw new Error('the replica has no link: hasLinks is not set')
    return link
  }

  /** Has it synchronise anew, everything. */
  async resync({ server }: Replica): Promise<void> {
    const count = Number(await this.primary.info('sync_full'))
    // Only what is known by another name has to be sent whole.
    await this.primary.command('DEBUG', 'CHANGE-REPL-ID')
    await server.command('CLIENT', 'KILL', 'TYPE', 'master')
    await until('a full synchronisation begins', async () => {
      return Number(await this.primary.info('sync_full')) > count
    })
  }

  /** Has it load a big data set slowly: it answers LOADING until `endLoading`, or half a minute. */
  async startLoading(replica: Replica): Promise<void> {
    const { server } = replica
    await this.primary.command('DEBUG', 'POPULATE', String(loadedKeyCount), 'loaded', '10')
    await server.command('CONFIG', 'SET', 'key-load-delay', String(delayPerKeyMicros))
    await server.command('CONFIG', 'SET', 'loading-process-events-interval-bytes', '1024')
    await this.resync(replica)
    await until('the replica loads', async () => {
      return (await server.command('GET', 'x')).startsWith('-LOADING')
    })
  }

  async endLoading(replica: Replica): Promise<void> {
    await replica.server.command('CONFIG', 'SET', 'key-load-delay', '0')
    await this.inStep(replica)
  }

  async stop(): Promise<void> {
    await Promise.all(this.list.map(({ server }) => server.stop()))
    await this.primary.stop()
    await Promise.all(this.list.flatMap(({ link }) => link?.close() ?? []))
  }
}

/** Passes bytes on between a replica and its primary, unless it is held. */
export class Link {
  readonly port: number
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private isPaused = false

  private constructor(server: Server, target: number) {
    this.server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (near) => this.join(near, target))
  }

  static async open(target: number): Promise<Link> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(0, '127.0.0.1', resolve)
    })
    return new Link(server, target)
  }

  private join(near: Socket, target: number): void {
    const far = createConnection({ port: target, host: '127.0.0.1' })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        this.sockets.delete(from)
        to.destroy()
      })
      from.on('data', (bytes: Buffer) => to.write(bytes))
      if (this.isPaused) from.pause()
    }
  }

  pause(): void {
    this.isPaused = true
    for (const socket of this.sockets) socket.pause()
  }

  resume(): void {
    this.isPaused = false
    for (const socket of this.sockets) socket.resume()
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

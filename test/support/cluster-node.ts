/** A server of a cluster, and what it says of the others. */
import { Redis } from 'ioredis'
import type { RedisServer } from './servers.ts'

const askDeadlineMs = 10_000

/** What a node says of one of its like. */
export interface NodeView {
  readonly id: string
  readonly port: number
  readonly flags: readonly string[]
  readonly primaryId: string | undefined
  readonly epoch: number
  readonly isConnected: boolean
  /** First and last. */
  readonly slots: readonly (readonly [number, number])[]
}

/** One server; its place in the cluster may change, its shard does not. */
export class ClusterNode {
  readonly server: RedisServer
  readonly shard: number
  readonly id: string
  readonly busPort: number
  /** Where it takes TLS, if it does. */
  readonly tlsPort: number | undefined
  private readonly password: string | undefined
  private connection: Redis | undefined

  constructor(
    server: RedisServer,
    place: Pick<ClusterNode, 'shard' | 'id' | 'busPort' | 'tlsPort'>,
    password: string | undefined,
  ) {
    this.server = server
    this.shard = place.shard
    this.id = place.id
    this.busPort = place.busPort
    this.tlsPort = place.tlsPort
    this.password = password
  }

  get host(): string {
    return this.server.host
  }

  get port(): number {
    return this.server.port
  }

  /** The port that it tells the others. */
  get announcedPort(): number {
    return this.tlsPort ?? this.server.port
  }

  /** Sends one command, on a connection that stays. @throws ReplyError, or an error when it does not answer */
  async ask(...words: readonly (string | Buffer)[]): Promise<unknown> {
    const [name = '', ...rest] = words
    return this.open().call(String(name), ...rest)
  }

  /** The same with replies as bytes. */
  async askBytes(...words: readonly (string | Buffer)[]): Promise<unknown> {
    const [name = '', ...rest] = words
    return this.open().callBuffer(String(name), ...rest)
  }

  async view(): Promise<readonly NodeView[]> {
    return parseNodes(String(await this.ask('CLUSTER', 'NODES')))
  }

  hangUp(): void {
    this.connection?.disconnect()
    this.connection = undefined
  }

  private open(): Redis {
    this.connection ??= new Redis({
      host: this.host,
      port: this.port,
      ...(this.password !== undefined && { password: this.password }),
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      commandTimeout: askDeadlineMs,
      retryStrategy: () => 50,
    }).on('error', () => {})
    return this.connection
  }
}

/** Role and slots, as all nodes should have it, and by what right a primary has them. */
export function describe({ id, flags, primaryId, epoch, slots }: NodeView): string {
  const roles = flags.filter((flag) => flag !== 'myself')
  const right = flags.includes('master') ? `epoch ${epoch}` : '-'
  return [id, roles, primaryId ?? '-', right, slots.map((range) => range.join('-'))].join(' ')
}

/** Reads `CLUSTER NODES`; what is being moved is left out. */
export function parseNodes(text: string): NodeView[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [id = '', address = '', flags = '', primary, , , epoch, link, ...slots] =
        line.split(' ')
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1]),
        flags: flags.split(','),
        primaryId: primary === '-' ? undefined : primary,
        epoch: Number(epoch),
        isConnected: link === 'connected',
        slots: slots.flatMap((range): [number, number][] => {
          if (range.startsWith('[')) return []
          const [first, last] = range.split('-')
          return [[Number(first), Number(last ?? first)]]
        }),
      }
    })
}

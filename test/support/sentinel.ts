/** Real Sentinels over a primary and its replicas, for tests; ready when all of them know all of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type ReplicatedServers, startReplicated } from './replicas.ts'
import { type RedisServer, serverProgram, startServer, until } from './servers.ts'

const readyDeadlineMs = 30_000

export interface SentinelOptions {
  readonly name?: string
  readonly sentinels?: number
  readonly replicas?: number
  readonly program?: { readonly command: readonly string[] }
  /** Of the primary and its replicas. */
  readonly password?: string
  /** Of the Sentinels themselves. */
  readonly sentinelPassword?: string
  /** Silence after which a Sentinel holds a server for down. */
  readonly downAfterMs?: number
}

export async function startSentinels(options: SentinelOptions = {}): Promise<SentinelRig> {
  const { password, program } = options
  const backend = await startReplicated({
    replicas: options.replicas ?? 2,
    ...(password !== undefined && { password }),
    ...(program && { program }),
  })
  const rig = new SentinelRig(options, backend)
  try {
    await Promise.all(Array.from({ length: options.sentinels ?? 3 }, () => rig.startSentinel()))
    await rig.agree()
    return rig
  } catch (error) {
    await rig.stop()
    throw error
  }
}

export class SentinelRig {
  readonly name: string
  /** Primary first, as it was in the beginning. */
  readonly servers: readonly RedisServer[]
  readonly sentinels: RedisServer[] = []
  private readonly options: SentinelOptions
  private readonly backend: ReplicatedServers
  private readonly directories: string[] = []
  private readonly absent = new Set<RedisServer>()

  constructor(options: SentinelOptions, backend: ReplicatedServers) {
    this.options = options
    this.backend = backend
    this.name = options.name ?? 'mymaster'
    this.servers = [backend.primary, ...backend.replicas.map(({ server }) => server)]
  }

  async startSentinel(): Promise<RedisServer> {
    const directory = mkdtempSync(join(tmpdir(), 'respmesh-sentinel-'))
    this.directories.push(directory)
    // A Sentinel writes into its configuration what it learns.
    const file = join(directory, 'sentinel.conf')
    writeFileSync(file, this.configuration())
    const { sentinelPassword } = this.options
    const program = this.options.program?.command ?? [serverProgram()]
    const sentinel = await startServer({
      program: { command: [...program, file, '--sentinel'] },
      ...(sentinelPassword !== undefined && { password: sentinelPassword }),
    })
    this.sentinels.push(sentinel)
    return sentinel
  }

  private configuration(): string {
    const { name, options } = this
    const { host, port } = this.backend.primary
    const quorum = Math.floor((options.sentinels ?? 3) / 2) + 1
    return [
      `sentinel monitor ${name} ${host} ${port} ${quorum}`,
      `sentinel down-after-milliseconds ${name} ${options.downAfterMs ?? 1000}`,
      `sentinel failover-timeout ${name} 5000`,
      `sentinel parallel-syncs ${name} 5`,
      ...(options.password === undefined ? [] : [`sentinel auth-pass ${name} ${options.password}`]),
      ...(options.sentinelPassword === undefined
        ? []
        : [`sentinel sentinel-pass ${options.sentinelPassword}`]),
      '',
    ].join('\n')
  }

  /** As the Sentinels’ clients ask it, of one that answers. */
  async primary(): Promise<RedisServer> {
    const ports = await Promise.all(this.present.map((one) => this.portOfPrimary(one)))
    const server = this.servers.find(({ port }) => port === ports[0])
    if (server === undefined) throw new Error(`nobody listens at ${ports[0]} for the Sentinels`)
    return server
  }

  private get present(): RedisServer[] {
    return this.sentinels.filter((sentinel) => !this.absent.has(sentinel))
  }

  private async portOfPrimary(sentinel: RedisServer): Promise<number> {
    const words = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name]
    const reply = await sentinel.command(...words)
    return Number(reply.split('\r\n')[4])
  }

  /** Waits until every Sentinel knows the others, the replicas, and the same primary, which says that it is one. */
  async agree(): Promise<void> {
    await until(
      'the Sentinels agree',
      async () => {
        const facts = await Promise.all(this.present.map((one) => this.factsOf(one)))
        const [first] = facts
        if (first === undefined || facts.some((one) => one !== first)) return false
        const primary = this.servers.find(({ port }) => first.startsWith(`${port} `))
        if (primary === undefined || this.absent.has(primary)) return false
        const others = `${this.servers.length - 1} ${this.sentinels.length - 1}`
        return first === `${primary.port} ${others}` && (await isPrimary(primary))
      },
      readyDeadlineMs,
    )
  }

  private async factsOf(sentinel: RedisServer): Promise<string> {
    const text = await sentinel.command('SENTINEL', 'MASTER', this.name)
    const fields = text.split('\r\n')
    const field = (name: string) => fields[fields.indexOf(name) + 2]
    return `${field('port')} ${field('num-slaves')} ${field('num-other-sentinels')}`
  }

  /** The Sentinels make a replica the primary, as an administrator asks for it; returns the new one. */
  async failover(): Promise<RedisServer> {
    const old = await this.primary()
    await until('the Sentinels begin a failover', async () => {
      const reply = await this.present[0]?.command('SENTINEL', 'FAILOVER', this.name)
      return reply === '+OK\r\n'
    })
    return this.primaryIsNot(old)
  }

  /** Waits until the Sentinels have, and agree on, another primary. */
  async primaryIsNot(old: RedisServer): Promise<RedisServer> {
    await until(
      `${old.port} is followed by another`,
      async () => (await this.primary()) !== old,
      readyDeadlineMs,
    )
    await this.agree()
    return this.primary()
  }

  /** Ends the primary at once; the Sentinels notice after `downAfterMs`. */
  async killPrimary(): Promise<RedisServer> {
    const primary = await this.primary()
    await this.kill(primary)
    return primary
  }

  /** Ends a server or a Sentinel; `restart` brings it back. */
  async kill(server: RedisServer): Promise<void> {
    this.absent.add(server)
    await server.kill()
  }

  async restart(server: RedisServer): Promise<void> {
    await server.restart()
    this.absent.delete(server)
  }

  pause(server: RedisServer): void {
    this.absent.add(server)
    server.signal('SIGSTOP')
  }

  resume(server: RedisServer): void {
    server.signal('SIGCONT')
    this.absent.delete(server)
  }

  /** A client of the Sentinels, which follows them by itself. The caller ends it. */
  client(): Redis {
    const { password, sentinelPassword } = this.options
    return new Redis({
      name: this.name,
      sentinels: this.sentinels.map(({ host, port }) => ({ host, port })),
      ...(password !== undefined && { password }),
      ...(sentinelPassword !== undefined && { sentinelPassword }),
    }).on('error', () => {})
  }

  async stop(): Promise<void> {
    await Promise.all(this.sentinels.map((sentinel) => sentinel.stop()))
    await this.backend.stop()
    for (const directory of this.directories) rmSync(directory, { recursive: true, force: true })
  }
}

async function isPrimary(server: RedisServer): Promise<boolean> {
  return (await server.command('ROLE').catch(String)).includes('master')
}

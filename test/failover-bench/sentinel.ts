/** Three Redis Sentinels, each on a node of its own, over the same servers; clients ask the Sentinels, as ioredis does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, LabServer, type Reply, serverPort } from '../faults/lab/index.ts'
import { Network } from '../faults/lab/network.ts'
import { LabProcess } from '../faults/lab/process.ts'
import { serverProgram, until } from '../support/servers.ts'
import { type Contender, writersPerNode } from './contender.ts'
import { Writers } from './writers.ts'

const group = 'mymaster'
const sentinelPort = 26_379
const sentinelCount = 3
const quorum = 2
/** A Sentinel begins no failover before twice this after the last one. */
const failoverTimeoutMs = 2000
const readyMs = 40_000

export class Sentinels implements Contender {
  readonly name = 'sentinel'
  readonly network: Network
  readonly servers: readonly LabServer[]
  readonly writers: readonly Writers[]
  private readonly directory: string
  private readonly downAfterMs: number
  private readonly processes: LabProcess[] = []
  private readonly clients: Client[] = []
  private changedMs = Number.NEGATIVE_INFINITY
  private lastPrimary = ''

  private constructor(network: Network, directory: string, downAfterMs: number) {
    this.network = network
    this.directory = directory
    this.downAfterMs = downAfterMs
    this.servers = [1, 2, 3].map(
      (at) =>
        new LabServer({
          name: `server-${at}`,
          host: `10.77.0.${at}`,
          namespace: network.namespaceOf(`server-${at}`),
          directory,
          program: [serverProgram()],
          data: 'disk',
        }),
    )
    const sentinels = names('sentinel', sentinelCount).map((name) => ({
      host: network.addressOf(name),
      port: sentinelPort,
    }))
    this.writers = names('client', 2).map((name) => {
      const own = Array.from({ length: writersPerNode }, (_none, at) => `${name}-${at}`)
      const target = { kind: 'sentinel', name: group, sentinels } as const
      return new Writers(network.namespaceOf(name), { names: own, target, paceMs: 0 })
    })
  }

  static async start({ downAfterMs }: { readonly downAfterMs: number }): Promise<Sentinels> {
    const directory = mkdtempSync(join(tmpdir(), 'respmesh-sentinels-'))
    const network = await Network.open([
      ...places('server', 3, 1),
      ...places('sentinel', sentinelCount, 31),
      ...places('client', 2, 51),
    ])
    const rig = new Sentinels(network, directory, downAfterMs)
    try {
      await rig.begin()
      return rig
    } catch (error) {
      await rig.stop()
      throw error
    }
  }

  async primary(): Promise<LabServer> {
    const reply = await this.ask(0, 'GET-MASTER-ADDR-BY-NAME', group)
    const host = Array.isArray(reply) ? String(reply[0]) : ''
    const found = this.servers.find((server) => server.host === host)
    if (found === undefined) throw new Error('the Sentinels have no primary')
    if (host !== this.lastPrimary) this.changedMs = performance.now()
    this.lastPrimary = host
    return found
  }

  async settle(): Promise<void> {
    await until('the Sentinels are in order', () => this.isSettled().catch(() => false), readyMs)
    const waitMs = this.changedMs + 2 * failoverTimeoutMs + 500 - performance.now()
    if (waitMs > 0) await delay(waitMs)
  }

  async switchOver(): Promise<void> {
    const reply = await this.ask(0, 'FAILOVER', group)
    if (reply !== 'OK') throw new Error(`SENTINEL FAILOVER: ${JSON.stringify(reply)}`)
    this.changedMs = performance.now()
  }

  async restart(server: LabServer): Promise<void> {
    await server.restart({ as: { replicaOf: (await this.primary()).host } })
  }

  phases(): undefined {
    return undefined
  }

  async stop(): Promise<void> {
    await Promise.all(this.writers.map((writers) => writers.stop()))
    for (const client of this.clients) client.close()
    await Promise.all([...this.processes, ...this.servers].map((each) => each.kill()))
    this.network.close()
    rmSync(this.directory, { recursive: true, force: true })
  }

  private async begin(): Promise<void> {
    const [first, ...others] = this.servers
    await first?.start('primary')
    await Promise.all(others.map((server) => server.start({ replicaOf: first?.host ?? '' })))
    for (const name of names('sentinel', sentinelCount)) await this.startSentinel(name)
    await this.settle()
  }

  private async startSentinel(name: string): Promise<void> {
    const file = join(this.directory, `${name}.conf`)
    const socket = join(this.directory, `${name}.sock`)
    writeFileSync(file, this.configuration(name, socket))
    const process = await LabProcess.start({
      namespace: this.network.namespaceOf(name),
      command: [serverProgram(), file, '--sentinel'],
      logFile: join(this.directory, `${name}.log`),
    })
    this.processes.push(process)
    await until(`${name} answers`, async () => {
      const client = await Client.connect(socket).catch(() => undefined)
      if (client === undefined) return false
      this.clients.push(client)
      return (await client.call('PING')) === 'PONG'
    })
  }

  private configuration(name: string, socket: string): string {
    return [
      `port ${sentinelPort}`,
      `bind ${this.network.addressOf(name)}`,
      'protected-mode no',
      `unixsocket ${socket}`,
      `dir ${this.directory}`,
      `sentinel monitor ${group} ${this.servers[0]?.host ?? ''} ${serverPort} ${quorum}`,
      `sentinel down-after-milliseconds ${group} ${this.downAfterMs}`,
      `sentinel failover-timeout ${group} ${failoverTimeoutMs}`,
      `sentinel parallel-syncs ${group} 5`,
      '',
    ].join('\n')
  }

  private ask(at: number, ...words: readonly string[]): Promise<Reply> {
    const client = this.clients[at]
    if (client === undefined) throw new Error(`there is no Sentinel ${at + 1}`)
    return client.call('SENTINEL', ...words)
  }

  /** All of them know the same primary, its replicas and each other, and all servers have the same data. */
  private async isSettled(): Promise<boolean> {
    const primary = await this.primary().catch(() => undefined)
    if (primary === undefined) return false
    const said = await Promise.all(this.clients.map((_client, at) => this.factsOf(at)))
    const wanted = `${primary.host} ${this.servers.length - 1} ${sentinelCount - 1} master`
    if (said.some((facts) => facts !== wanted)) return false
    const infos = await Promise.all(this.servers.map((server) => server.info('replication')))
    await this.follow(primary, infos)
    const offsets = new Set(infos.map((info) => info.get('master_repl_offset')))
    const isFollowed = infos.every((info, at) =>
      this.servers[at] === primary
        ? info.get('role') === 'master'
        : info.get('master_host') === primary.host && info.get('master_link_status') === 'up',
    )
    return isFollowed && offsets.size === 1
  }

  /** Sentinels do so as well, ten seconds later; nothing is measured any more by then. */
  private async follow(
    primary: LabServer,
    infos: readonly ReadonlyMap<string, string>[],
  ): Promise<void> {
    const isPrimary = infos[this.servers.indexOf(primary)]?.get('role') === 'master'
    const others = this.servers.filter((server, at) => {
      return server !== primary && infos[at]?.get('master_host') !== primary.host
    })
    if (!isPrimary) return
    const source = [primary.host, String(serverPort)]
    await Promise.all(others.map((server) => server.call('REPLICAOF', ...source)))
  }

  private async factsOf(at: number): Promise<string> {
    const reply = await this.ask(at, 'MASTER', group)
    const fields = Array.isArray(reply) ? reply.map(String) : []
    const field = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
    return ['ip', 'num-slaves', 'num-other-sentinels', 'flags'].map(field).join(' ')
  }
}

function names(kind: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_none, at) => `${kind}-${at + 1}`)
}

function places(kind: string, count: number, first: number) {
  return names(kind, count).map((name, at) => ({ name, address: `10.77.0.${first + at}` }))
}

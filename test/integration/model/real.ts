/** Real servers under the steps of a history, commanded and looked at by the prober of the operator. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../../common/clock.ts'
import { Prober } from '../../../operator/backend/index.ts'
import { type ServerFacts, parkSource } from '../../../operator/controller/observation.ts'
import { RespClient } from '../../../operator/local/resp-client.ts'
import type { ServerProgram } from '../../support/server-versions.ts'
import { type RedisServer, startServer, until } from '../../support/servers.ts'
import {
  type Source,
  type Step,
  backlogWrites,
  floodWrites,
  serverCount,
  valueBytes,
} from './steps.ts'
import type { Seen } from './view.ts'

const key = 'test/test'
const snapshotName = 'dump.rdb'
/** On a busy machine too. */
const answerWithinMs = 20_000
const confirmedWithinMs = 20_000
const notConfirmedWithinMs = 50
const startAttemptsMax = 20
const startRetryMs = 100

export interface RealOptions {
  readonly program: ServerProgram
  /** Data are kept in snapshots, with the history; else in a log of commands. */
  readonly hasSnapshots: boolean
}

export class RealServers {
  private readonly hasSnapshots: boolean
  private readonly directory = mkdtempSync(join(tmpdir(), 'respmesh-model-'))
  private readonly prober = new Prober({ clock: systemClock })
  private servers: readonly RedisServer[] = []
  private readonly down = new Set<number>()
  private writes = 0
  private users = 0

  private constructor(hasSnapshots: boolean) {
    this.hasSnapshots = hasSnapshots
  }

  static async start({ program, hasSnapshots }: RealOptions): Promise<RealServers> {
    const real = new RealServers(hasSnapshots)
    try {
      for (let index = 0; index < serverCount; index += 1) await real.add(program, index)
    } catch (error) {
      await real.stop()
      throw error
    }
    real.prober.watch(
      key,
      real.servers.map(({ host, port }) => ({
        address: `${host}:${port}`,
        target: { host, port, silenceMs: answerWithinMs },
      })),
    )
    return real
  }

  private async add(program: ServerProgram, index: number): Promise<void> {
    this.configure(index, index === 0 ? undefined : 0)
    const args = ['--include', this.configPath(index)]
    const server = await started(() => startServer({ program, args }))
    this.servers = [...this.servers, server]
  }

  async stop(): Promise<void> {
    this.prober.stop()
    await Promise.all(this.servers.map((server) => server.stop()))
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** @returns how a write was answered. `confirmedBy`: replicas that are to confirm it */
  async run(step: Step, confirmedBy: number): Promise<string> {
    switch (step.kind) {
      case 'write':
        return this.write(step.at, { count: 1, ...(step.isWaited && { confirmedBy }) })
      case 'flood':
        return this.write(step.at, { count: floodWrites })
      case 'promote': {
        const { address, runId } = this.process(step.at)
        await this.prober.promote(key, address, runId)
        break
      }
      case 'follow':
        await this.prober.replicate(key, this.process(step.at), this.source(step.source))
        break
      case 'protect': {
        this.users += 1
        const replicas = step.replicas.map((index) => this.process(index))
        const users = { user: `respmesh-e${this.users}`, replicas }
        await this.prober.protect(key, this.process(step.at), users)
        break
      }
      case 'unprotect':
        await this.prober.unprotect(key, this.process(step.at))
        break
      case 'minReplicas':
        await this.prober.setMinReplicas(key, this.process(step.at), step.count)
        break
      case 'save':
        await this.save(step.at)
        cpSync(this.path(step.at, snapshotName), this.path(step.at, 'saved'))
        break
      case 'crash':
        await this.crash(step)
        break
      case 'start':
        this.configure(step.at, step.source)
        await started(() => this.server(step.at).restart())
        this.down.delete(step.at)
        break
    }
    return ''
  }

  /** @returns undefined while a server that runs was not seen so */
  async see(): Promise<readonly Seen[] | undefined> {
    await this.look()
    const all = await Promise.all(
      this.servers.map(async (server, index): Promise<Seen | undefined> => {
        if (this.down.has(index)) return { source: '', keys: [], fullSyncs: 0 }
        const facts = this.facts(index)
        if (facts === undefined) return undefined
        const keys = (await server.command('KEYS', 'w*')).match(/\bw\d+/g) ?? []
        const fullSyncs = Number(await server.info('sync_full'))
        return { facts, source: this.sourceName(facts), keys, fullSyncs }
      }),
    )
    return all.includes(undefined) ? undefined : (all as readonly Seen[])
  }

  /** Of one that runs: seconds since it began to. */
  async uptimeSeconds(): Promise<number> {
    const index = [...this.servers.keys()].find((each) => !this.down.has(each))
    return Number(await this.server(index ?? 0).info('uptime_in_seconds'))
  }

  private async write(
    at: number,
    { count, confirmedBy }: { readonly count: number; readonly confirmedBy?: number },
  ): Promise<string> {
    const { port } = this.server(at)
    const client = await RespClient.connect(port)
    try {
      const value = 'x'.repeat(valueBytes)
      const names = Array.from({ length: count }, () => {
        this.writes += 1
        return `w${this.writes}`
      })
      const replies = await Promise.all(
        names.map((name) => client.call('SET', name, value).catch(codeOf)),
      )
      const reply = [...new Set(replies)].join(' ')
      const [name] = names
      if (reply !== 'OK' || confirmedBy === undefined || name === undefined) return reply
      await this.confirm(client, { name, confirmedBy })
      return reply
    } finally {
      client.close()
    }
  }

  /** So many replicas say that they have it, and so many do. */
  private async confirm(
    client: RespClient,
    { name, confirmedBy }: { readonly name: string; readonly confirmedBy: number },
  ): Promise<void> {
    const first = await client.call('WAIT', String(confirmedBy), String(confirmedWithinMs))
    assert.ok(Number(first) >= confirmedBy, `${name}: ${confirmedBy} are to confirm it`)
    const more = String(confirmedBy + 1)
    assert.equal(await client.call('WAIT', more, String(notConfirmedWithinMs)), confirmedBy)
    const running = this.servers.filter((_server, index) => !this.down.has(index))
    const replies = await Promise.all(running.map((server) => server.command('EXISTS', name)))
    const holders = replies.filter((reply) => reply === ':1\r\n').length
    assert.ok(holders >= confirmedBy + 1, `${name} is confirmed by ${confirmedBy}, not there`)
  }

  private async save(at: number): Promise<void> {
    // Not while a data set is being sent to a replica.
    await until('it has saved', async () => (await this.server(at).command('SAVE')) === '+OK\r\n')
  }

  private async crash({ at, keeps }: Extract<Step, { kind: 'crash' }>): Promise<void> {
    const server = this.server(at)
    if (keeps === 'all' && this.hasSnapshots) await this.save(at)
    if (keeps === 'all' && !this.hasSnapshots) {
      // What a replica got as a whole is in its log once that was written anew.
      await until('the log is whole', async () => {
        const text = await server.command('INFO', 'persistence')
        return /aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/.test(text)
      })
    }
    await server.kill()
    this.down.add(at)
    if (keeps === 'all') return
    rmSync(this.path(at, snapshotName), { force: true })
    rmSync(this.path(at, 'appendonlydir'), { recursive: true, force: true })
    const saved = this.path(at, 'saved')
    if (keeps === 'saved' && existsSync(saved)) cpSync(saved, this.path(at, snapshotName))
  }

  private async look(): Promise<void> {
    await this.prober.probeNow(
      key,
      this.servers.map((_server, index) => this.address(index)),
    )
  }

  private facts(index: number): ServerFacts | undefined {
    const state = this.prober.observations(key)[index]?.state
    return state?.kind === 'up' ? state.facts : undefined
  }

  private process(index: number) {
    const { runId } = this.facts(index) ?? {}
    if (runId === undefined) throw new Error(`server ${index} is not seen`)
    return { address: this.address(index), runId }
  }

  private source(source: Source): { readonly host: string; readonly port: number } {
    if (source === 'parked') return parkSource
    const { host, port } = this.server(source)
    return { host, port }
  }

  private sourceName({ source }: ServerFacts): string {
    if (source === undefined) return 'nobody'
    if (source.port === parkSource.port) return 'parked'
    return `s${this.servers.findIndex(({ port }) => port === source.port)}`
  }

  private configure(index: number, source: Source | undefined): void {
    const target = source === undefined ? undefined : this.source(source)
    const lines = [
      `repl-backlog-size ${backlogWrites * valueBytes}`,
      // Nothing is written but by the steps.
      'repl-ping-replica-period 3600',
      ...(this.hasSnapshots ? [] : ['appendonly yes', 'appendfsync always']),
      ...(target === undefined ? [] : [`replicaof ${target.host} ${target.port}`]),
    ]
    writeFileSync(this.configPath(index), `${lines.join('\n')}\n`)
  }

  private configPath(index: number): string {
    return join(this.directory, `s${index}.conf`)
  }

  private path(index: number, name: string): string {
    return join(this.server(index).directory, name)
  }

  private address(index: number): string {
    const { host, port } = this.server(index)
    return `${host}:${port}`
  }

  private server(index: number): RedisServer {
    const server = this.servers[index]
    if (server === undefined) throw new Error(`there is no server ${index}`)
    return server
  }
}

/** A port that was free may be that of someone else’s connection by the time that a server asks for it. */
async function started<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start()
    } catch (error) {
      if (attempt === startAttemptsMax) throw error
    }
    await delay(startRetryMs)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error ? (error.message.split(' ', 1)[0] ?? '') : String(error)
}

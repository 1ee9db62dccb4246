/**
 * What every server did, seen past the network: which process ran which proxied write and when, by MONITOR, and what each
 * said of its replication, every few milliseconds.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Client, type LabServer, type Reply, wallMs } from './lab/index.ts'

export interface Execution {
  readonly runId: string
  /** By the server’s clock, which is that of this machine. */
  readonly atMs: number
}

/** What a server said, kept when it differs from what it had said. */
export interface Sample {
  readonly server: string
  readonly atMs: number
  readonly runId: string
  readonly isPrimary: boolean
  readonly replId: string
  readonly replId2: string
  readonly secondReplOffset: number
  readonly offset: number
}

const pollMs = 10
const line = /^(\d+\.\d+) \[\d+ 10\.77\.0\.5\d:\d+\] "(RPUSH|SADD|SET)" "([^"]*)" "([^"]*)"$/

export class ServerWatch {
  readonly samples: Sample[] = []
  /** By command, `RPUSH push:w11 17`. */
  readonly executions = new Map<string, Execution[]>()
  private isStopping = false
  private readonly running: readonly Promise<void>[]

  constructor(servers: readonly LabServer[]) {
    this.running = servers.map((server) => this.follow(server))
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await Promise.all(this.running)
  }

  private async follow(server: LabServer): Promise<void> {
    while (!this.isStopping) {
      const pair = await Promise.all([
        Client.connect(server.unixPath),
        Client.connect(server.unixPath),
      ]).catch(() => undefined)
      if (pair !== undefined) await this.observe(server, ...pair).catch(() => {})
      for (const client of pair ?? []) client.close()
      await delay(pollMs)
    }
  }

  private async observe(server: LabServer, monitor: Client, poller: Client): Promise<void> {
    const runId = parseInfo(await poller.call('INFO', 'server')).get('run_id') ?? ''
    monitor.onPush = (reply) => this.executed(runId, reply)
    await monitor.call('MONITOR')
    let last: Sample | undefined
    while (!this.isStopping) {
      const info = parseInfo(await poller.call('INFO', 'replication'))
      const sample = sampleOf(server.name, runId, info)
      if (last === undefined || differs(sample, last)) this.samples.push(sample)
      last = sample
      await delay(pollMs)
    }
  }

  private executed(runId: string, reply: Reply): void {
    const match = typeof reply === 'string' ? line.exec(reply) : null
    if (match === null) return
    const [, seconds, ...words] = match
    const text = words.join(' ')
    const execution = { runId, atMs: Number(seconds) * 1000 }
    const known = this.executions.get(text)
    if (known === undefined) this.executions.set(text, [execution])
    else known.push(execution)
  }
}

function parseInfo(text: Reply): ReadonlyMap<string, string> {
  const lines = typeof text === 'string' ? text.split('\r\n') : []
  return new Map(
    lines.map((each) => [each.split(':', 1)[0] ?? '', each.slice(each.indexOf(':') + 1)]),
  )
}

function sampleOf(server: string, runId: string, info: ReadonlyMap<string, string>): Sample {
  return {
    server,
    atMs: wallMs(),
    runId,
    isPrimary: info.get('role') === 'master',
    replId: info.get('master_replid') ?? '',
    replId2: info.get('master_replid2') ?? '',
    secondReplOffset: Number(info.get('second_repl_offset')),
    offset: Number(info.get('master_repl_offset')),
  }
}

function differs(a: Sample, b: Sample): boolean {
  return (
    a.isPrimary !== b.isPrimary ||
    a.offset !== b.offset ||
    a.replId !== b.replId ||
    a.replId2 !== b.replId2
  )
}

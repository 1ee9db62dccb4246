/** A Redis or Valkey process on a node of the lab; reached past the network by its unix socket. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../support/servers.ts'
import { Client, ErrorReply, type Reply } from './client.ts'
import type { Namespace } from './namespaces.ts'
import { LabProcess } from './process.ts'
import { wallMs, writeWhole } from './record.ts'

export const serverPort = 6379
const askTimeoutMs = 1000

export interface ServerOptions {
  readonly name: string
  readonly host: string
  readonly namespace: Namespace
  readonly directory: string
  readonly program: readonly string[]
  /** disk: data outlive the process; memory: every start is an empty one. */
  readonly data: 'disk' | 'memory'
}

/** primary: of itself; parked: a replica of nobody, as local mode and our examples start again; a host: its replica. */
export type StartAs = 'primary' | 'parked' | { readonly replicaOf: string }

export interface RestartOptions {
  readonly as?: StartAs
  /** What it had is deleted first. */
  readonly isEmpty?: boolean
}

export class LabServer {
  readonly name: string
  readonly host: string
  readonly address: string
  readonly unixPath: string
  private readonly options: ServerOptions
  private readonly dataPath: string
  private process: LabProcess | undefined
  private killed: LabProcess | undefined
  private client: Promise<Client> | undefined
  private stopped = false

  constructor(options: ServerOptions) {
    this.options = options
    this.name = options.name
    this.host = options.host
    this.address = `${options.host}:${serverPort}`
    this.unixPath = join(options.directory, `${options.name}.sock`)
    this.dataPath = join(options.directory, `${options.name}-data`)
  }

  get isRunning(): boolean {
    return this.process?.isRunning === true
  }

  get isStopped(): boolean {
    return this.stopped
  }

  /** Resolves when it answers. */
  async start(as: StartAs): Promise<void> {
    const { namespace, program, directory, name } = this.options
    mkdirSync(this.dataPath, { recursive: true })
    this.stopped = false
    const started = await LabProcess.start({
      namespace,
      command: [...program, ...this.arguments(), ...sourceArguments(as)],
      logFile: join(directory, `${name}.log`),
    })
    this.process = started
    await until(`${name} answers`, async () => {
      // Killed again before it was up.
      if (this.process !== started || this.killed === started) return true
      if (!this.isRunning) throw new Error(`${name} ended at its start; see its log`)
      const reply = await this.call('PING').catch(() => undefined)
      return (
        reply === 'PONG' || (reply instanceof ErrorReply && reply.text.startsWith('MASTERDOWN'))
      )
    })
  }

  /** As Kubernetes does after a container ended, if it ran still. */
  async restart({ as = 'parked', isEmpty = false }: RestartOptions = {}): Promise<void> {
    await this.kill()
    if (isEmpty) rmSync(this.dataPath, { recursive: true, force: true })
    await this.start(as)
  }

  async kill(): Promise<void> {
    if (!this.isRunning) return
    this.killed = this.process
    await this.process?.kill()
    writeWhole(join(this.options.directory, `ended-${this.host}`), String(wallMs()))
  }

  stop(): void {
    this.stopped = true
    this.process?.signal('SIGSTOP')
  }

  continue(): void {
    this.stopped = false
    this.process?.signal('SIGCONT')
  }

  /** @throws Error when it does not run or does not answer within a second, as one that is stopped */
  async call(...args: readonly string[]): Promise<Reply> {
    const client = await this.connected()
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error(`${this.name} is silent`)), askTimeoutMs)
    try {
      return await Promise.race([client.call(...args), promise])
    } catch (error) {
      client.close()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Fields of `INFO SECTION`. */
  async info(section: string): Promise<ReadonlyMap<string, string>> {
    const text = await this.call('INFO', section)
    const lines = typeof text === 'string' ? text.split('\r\n') : []
    return new Map(
      lines.filter((line) => line.includes(':')).map((line) => [before(line), after(line)]),
    )
  }

  async runId(): Promise<string> {
    return (await this.info('server')).get('run_id') ?? ''
  }

  private async connected(): Promise<Client> {
    const former = await this.client?.catch(() => undefined)
    if (former !== undefined && !former.isLost) return former
    this.client = Client.connect(this.unixPath)
    return this.client
  }

  private arguments(): readonly string[] {
    const isKept = this.options.data === 'disk'
    const settings = {
      port: String(serverPort),
      bind: `${this.host} 127.0.0.1`,
      'protected-mode': 'no',
      unixsocket: this.unixPath,
      dir: this.dataPath,
      save: '',
      appendonly: isKept ? 'yes' : 'no',
      appendfsync: 'no',
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': '0',
      'enable-debug-command': 'yes',
      loglevel: 'notice',
    }
    return Object.entries(settings).flatMap(([name, value]) =>
      name === 'bind' ? ['--bind', ...value.split(' ')] : [`--${name}`, value],
    )
  }
}

function sourceArguments(as: StartAs): readonly string[] {
  if (as === 'primary') return []
  if (as === 'parked') return ['--replicaof', '127.0.0.1', '1']
  return ['--replicaof', as.replicaOf, String(serverPort)]
}

function before(line: string): string {
  return line.slice(0, line.indexOf(':'))
}

function after(line: string): string {
  return line.slice(line.indexOf(':') + 1)
}

/** Two servers, one a replica of the other, a sidecar process before them, and someone who switches between them. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { type RedisServer, freePort, startServer, until } from '../../support/servers.ts'
import { type SidecarProcess, serves, startSidecar } from '../control/sidecar-process.ts'

export interface CommandAnswer {
  readonly ok: boolean
  readonly error?: string
}

export type Changes = Partial<Pick<ProxyConfig, 'listeners' | 'workers' | 'admin' | 'logLevel'>> & {
  readonly timing?: Partial<ProxyConfig['timing']>
  readonly upstream?: Partial<ProxyConfig['upstream']>
}

export class Site {
  readonly port: number
  readonly sidecar: SidecarProcess
  readonly directory: string
  private primary: RedisServer
  private replica: RedisServer
  private readonly changes: Changes
  private readonly file: string

  constructor(
    servers: readonly [RedisServer, RedisServer],
    sidecar: { readonly process: SidecarProcess; readonly port: number; readonly file: string },
    changes: Changes,
  ) {
    this.primary = servers[0]
    this.replica = servers[1]
    this.sidecar = sidecar.process
    this.port = sidecar.port
    this.file = sidecar.file
    this.directory = join(sidecar.file, '..')
    this.changes = changes
  }

  get serving(): RedisServer {
    return this.primary
  }

  get following(): RedisServer {
    return this.replica
  }

  async command(
    cmd: string,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<CommandAnswer> {
    const url = `http://127.0.0.1:${await this.sidecar.adminPort()}/cmd/`
    const response = await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ cmd, ...fields }),
    })
    return (await response.json()) as CommandAnswer
  }

  /** @throws Error when it is refused */
  async succeed(cmd: string): Promise<void> {
    const answer = await this.command(cmd)
    if (!answer.ok) throw new Error(`${cmd}: ${answer.error}`)
  }

  write(config: unknown): void {
    writeConfig(this.file, config)
  }

  configFor(server: RedisServer, changes: Changes = {}): ProxyConfig {
    return configOf(server, this.port, { ...this.changes, ...changes })
  }

  /** Pause, promotion, reload, resume. Gives the time from the first to the last, milliseconds. */
  async switchServers(): Promise<number> {
    const { primary, replica } = this
    await until('the replica follows', () => isFollowing(replica))
    const start = performance.now()
    await this.succeed('pause')
    await inStep(primary, replica)
    await replica.command('REPLICAOF', 'NO', 'ONE')
    await primary.command('REPLICAOF', replica.host, String(replica.port))
    this.primary = replica
    this.replica = primary
    this.write(this.configFor(replica))
    await this.succeed('reload')
    await this.succeed('unpause')
    return performance.now() - start
  }
}

export async function startSite(t: TestContext, changes: Changes = {}): Promise<Site> {
  const first = await startServer()
  t.after(() => first.stop())
  const second = await startServer({ replicaOf: first })
  t.after(() => second.stop())
  await until('the replica follows', () => isFollowing(second))
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-switch-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const [file, port] = [join(directory, 'config.json'), await freePort()]
  writeConfig(file, configOf(first, port, changes))
  const process = startSidecar(t, `--config ${file}`)
  await serves(process)
  return new Site([first, second], { process, port, file }, changes)
}

function configOf(server: RedisServer, port: number, changes: Changes): ProxyConfig {
  const { host } = server
  const base = standaloneConfig({
    members: [{ host, port: server.port }],
    listeners: [{ host: '127.0.0.1', port }],
  })
  const primary = { host, port: server.port }
  const { timing, upstream, ...others } = changes
  return {
    ...base,
    admin: { host: '127.0.0.1', port: 0 },
    commands: { allow: ['monitor'] },
    ...others,
    timing: { ...base.timing, ...timing },
    upstream: { ...base.upstream, discovery: 'operator', primary, ...upstream },
  }
}

function writeConfig(file: string, config: unknown): void {
  writeFileSync(`${file}.new`, JSON.stringify(config))
  renameSync(`${file}.new`, file)
}

async function isFollowing(replica: RedisServer): Promise<boolean> {
  return (await replica.info('master_link_status').catch(() => 'none')) === 'up'
}

/** Everything that the primary has is in the replica. Nothing may be written meanwhile. */
async function inStep(primary: RedisServer, replica: RedisServer): Promise<void> {
  await until('the replica has everything', async () => {
    const [there, here] = await Promise.all([
      primary.info('master_repl_offset'),
      replica.info('slave_repl_offset').catch(() => 'none'),
    ])
    return there === here && isFollowing(replica)
  })
}

/**
 * The servers of a laptop: one process per endpoint on loopback. The first starts as the primary, the others as
 * its replicas; one that died comes back parked, so that it can never be a second primary.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { localRestartMs } from '../../common/limits.ts'
import type { Secret } from '../../common/secret.ts'
import { parkSource } from '../controller/observation.ts'
import { Child } from './child.ts'
import type { Guard } from './guard.ts'

export interface LocalServersOptions {
  readonly program: string
  readonly ports: readonly number[]
  readonly directory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly password?: Secret
  readonly restartAfterMs?: number
}

export interface LocalServerEvents {
  onStart(address: string, pid: number): void
  onExit(address: string, how: string): void
}

export class LocalServers {
  private readonly children: ReadonlyMap<string, Child>

  constructor(
    options: LocalServersOptions,
    modules: { readonly guard: Guard; readonly events: LocalServerEvents },
  ) {
    this.children = new Map(
      options.ports.map((port, index) => {
        const address = `127.0.0.1:${port}`
        return [address, makeChild(options, { port, index, address }, modules)]
      }),
    )
  }

  addresses(): readonly string[] {
    return [...this.children.keys()]
  }

  pidOf(address: string): number | undefined {
    return this.children.get(address)?.pid
  }

  async start(): Promise<void> {
    await Promise.all([...this.children.values()].map((child) => child.start()))
  }

  /** @returns whether there is such a server and it ran */
  signal(address: string, signal: NodeJS.Signals): boolean {
    const child = this.children.get(address)
    if (child?.pid === undefined) return false
    child.signal(signal)
    return true
  }

  async startAgain(address: string): Promise<void> {
    await this.children.get(address)?.start()
  }

  async stop(): Promise<void> {
    await Promise.all([...this.children.values()].map((child) => child.stop()))
  }
}

function makeChild(
  options: LocalServersOptions,
  { port, index, address }: { port: number; index: number; address: string },
  { guard, events }: { readonly guard: Guard; readonly events: LocalServerEvents },
): Child {
  const directory = join(options.directory, `server-${port}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const [primaryPort = port] = options.ports
  return new Child(
    {
      name: address,
      program: options.program,
      env: options.env,
      logFile: join(directory, 'server.log'),
      restartAfterMs: options.restartAfterMs ?? localRestartMs,
      args: ({ isFirst }) => [
        ...commonArgs(port, directory),
        ...sourceArgs({ isFirst, index, primaryPort, isAlone: options.ports.length === 1 }),
        ...passwordArgs(options.password),
      ],
    },
    {
      guard,
      events: {
        onStart: (pid) => events.onStart(address, pid),
        onExit: (how) => events.onExit(address, how),
      },
    },
  )
}

/** Data survives the process in an append-only file, as on a volume; the folder goes with us. */
function commonArgs(port: number, directory: string): readonly string[] {
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    appendonly: 'yes',
    appendfsync: 'no',
    'repl-diskless-sync': 'yes',
    'repl-diskless-sync-delay': '0',
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

function sourceArgs(start: {
  readonly isFirst: boolean
  readonly index: number
  readonly primaryPort: number
  readonly isAlone: boolean
}): readonly string[] {
  if (start.isAlone || (start.isFirst && start.index === 0)) return []
  if (start.isFirst) return ['--replicaof', '127.0.0.1', String(start.primaryPort)]
  return ['--replicaof', parkSource.host, String(parkSource.port)]
}

function passwordArgs(password: Secret | undefined): readonly string[] {
  if (password === undefined) return []
  return ['--requirepass', password.reveal(), '--masterauth', password.reveal()]
}

/**
 * The servers of a laptop: one process per endpoint on loopback, arranged as the backend is that they stand in for. Where
 * the operator or Sentinels arrange them, one that died comes back parked, so that it can never be a second primary.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { localRestartMs } from '../../common/limits.ts'
import type { Secret } from '../../common/secret.ts'
import { type Arrangement, commonArgs, passwordArgs, sourceArgs } from './arrangement.ts'
import { Child } from './child.ts'
import { formCluster } from './cluster.ts'
import type { Guard } from './guard.ts'

export interface LocalServersOptions {
  readonly program: string
  readonly arrangement: Arrangement
  readonly ports: readonly number[]
  /** One for each port, of nodes of a cluster. */
  readonly busPorts?: readonly number[]
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
  private readonly options: LocalServersOptions
  private readonly children: ReadonlyMap<string, Child>

  constructor(
    options: LocalServersOptions,
    modules: { readonly guard: Guard; readonly events: LocalServerEvents },
  ) {
    this.options = options
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

  /** Why the process that has been the primary at `address` since then has ended; see `Provider.fate`. */
  fateOf(address: string, sinceMs: number): string | undefined {
    const child = this.children.get(address)
    if (child === undefined || !child.hasRun) return undefined
    const { runsSinceMs } = child
    if (runsSinceMs === undefined) return `the process of ${address} has exited`
    if (runsSinceMs <= sinceMs) return undefined
    return `the process of ${address} has exited and was started again`
  }

  async start(): Promise<void> {
    await Promise.all([...this.children.values()].map((child) => child.start()))
    const { arrangement, busPorts = [], password, ports } = this.options
    if (arrangement !== 'cluster') return
    await formCluster(
      ports.map((port, index) => ({ port, busPort: busPorts[index] ?? 0 })),
      password,
    )
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
  const { arrangement, busPorts, ports } = options
  const [primaryPort = port] = ports
  const busPort = busPorts?.[index]
  const place = { port, directory, ...(busPort !== undefined && { busPort }) }
  const isAlone = ports.length === 1
  return new Child(
    {
      name: address,
      program: options.program,
      env: options.env,
      logFile: join(directory, 'server.log'),
      restartAfterMs: options.restartAfterMs ?? localRestartMs,
      args: ({ isFirst }) => [
        ...commonArgs(place),
        ...sourceArgs({ arrangement, isFirst, index, primaryPort, isAlone }),
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

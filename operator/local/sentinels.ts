/** The Sentinels of a laptop: one process each, watching the primary that the servers began with. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { localRestartMs } from '../../common/limits.ts'
import type { Secret } from '../../common/secret.ts'
import { nodeTimeoutMs } from './arrangement.ts'
import { Child } from './child.ts'
import type { Guard } from './guard.ts'

export interface LocalSentinelsOptions {
  readonly program: string
  readonly ports: readonly number[]
  /** As in `sentinel monitor`. */
  readonly name: string
  readonly primaryPort: number
  /** Of the servers. */
  readonly password?: Secret
  /** Of the Sentinels themselves. */
  readonly ownPassword?: Secret
  readonly directory: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export class LocalSentinels {
  private readonly children: readonly Child[]

  constructor(
    options: LocalSentinelsOptions,
    modules: {
      readonly guard: Guard
      readonly onExit: (address: string, how: string) => void
    },
  ) {
    this.children = options.ports.map((port) => makeChild(options, port, modules))
  }

  async start(): Promise<void> {
    await Promise.all(this.children.map((child) => child.start()))
  }

  async stop(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop()))
  }
}

function makeChild(
  options: LocalSentinelsOptions,
  port: number,
  {
    guard,
    onExit,
  }: { readonly guard: Guard; readonly onExit: (address: string, how: string) => void },
): Child {
  const address = `127.0.0.1:${port}`
  const directory = join(options.directory, `sentinel-${port}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // A Sentinel keeps what it learns in its own configuration.
  const file = join(directory, 'sentinel.conf')
  writeFileSync(file, configOf(options, { port, directory }), { mode: 0o600 })
  return new Child(
    {
      name: `sentinel ${address}`,
      program: options.program,
      args: () => [file, '--sentinel'],
      env: options.env,
      logFile: join(directory, 'sentinel.log'),
      restartAfterMs: localRestartMs,
    },
    { guard, events: { onStart: () => {}, onExit: (how) => onExit(address, how) } },
  )
}

function configOf(
  { name, ports, primaryPort, password, ownPassword }: LocalSentinelsOptions,
  { port, directory }: { readonly port: number; readonly directory: string },
): string {
  const quorum = Math.floor(ports.length / 2) + 1
  return [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${JSON.stringify(directory)}`,
    `sentinel monitor ${name} 127.0.0.1 ${primaryPort} ${quorum}`,
    `sentinel down-after-milliseconds ${name} ${nodeTimeoutMs}`,
    `sentinel failover-timeout ${name} ${4 * nodeTimeoutMs}`,
    ...(password === undefined
      ? []
      : [`sentinel auth-pass ${name} ${JSON.stringify(password.reveal())}`]),
    ...(ownPassword === undefined ? [] : [`requirepass ${JSON.stringify(ownPassword.reveal())}`]),
    '',
  ].join('\n')
}

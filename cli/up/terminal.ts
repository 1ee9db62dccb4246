/** What `respmesh up` prints: a block to begin with, then one line per event. */
import type { ConsoleEvent, LocalWorld } from '../../operator/local/index.ts'
import { obstacleOf } from './readiness.ts'

export interface Paint {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly good: (text: string) => string
  readonly warn: (text: string) => string
}

const plain: Paint = { bold: same, dim: same, good: same, warn: same }

/** Colours on a terminal only, and not where NO_COLOR asks for none. */
export function paintFor(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const wantsNone = env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== ''
  if (stream.isTTY !== true || wantsNone) return plain
  const code = (open: number, close: number) => (text: string) =>
    `\x1b[${open}m${text}\x1b[${close}m`
  return { bold: code(1, 22), dim: code(2, 22), good: code(32, 39), warn: code(33, 39) }
}

export function eventLine({ at, type, message }: ConsoleEvent, paint: Paint): string {
  const time = new Date(at).toTimeString().slice(0, 8)
  const mark = type === 'Warning' ? paint.warn('!') : paint.good('·')
  return `${paint.dim(time)} ${mark} ${message}`
}

export interface BlockOptions {
  readonly source: string
  readonly consoleUrl: string
  readonly isInteractive: boolean
}

export function readyBlock(
  world: LocalWorld,
  { source, consoleUrl, isInteractive }: BlockOptions,
  paint: Paint,
): string {
  const status = world.proxy().status ?? {}
  const ports = world.sidecars().map(({ port }) => port)
  const [first = 0, ...more] = ports
  const { socketPath, tlsPort } = world.sidecars()[0] ?? {}
  const primary = status.primary?.address
  const others = (status.members ?? [])
    .map(({ address }) => address)
    .filter((each) => each !== primary)
  const also =
    more.length === 0
      ? ''
      : paint.dim(`   and ${more.map((port) => `127.0.0.1:${port}`).join(', ')}`)
  const obstacle = obstacleOf(world)
  const isReady = obstacle === undefined
  const title = isReady ? paint.good('respmesh is ready') : paint.warn('respmesh is waiting')
  return [
    '',
    `${paint.bold(title)}  ${paint.dim(`(${source})`)}`,
    '',
    ...(isReady ? [] : [`  why          ${obstacle}`]),
    `  endpoint     ${paint.bold(`127.0.0.1:${first}`)}${also}`,
    ...(tlsPort === undefined ? [] : [`  with TLS     127.0.0.1:${tlsPort}`]),
    ...(socketPath === undefined ? [] : [`  unix socket  ${socketPath}`]),
    `  primary      ${primary ?? 'none yet'}`,
    `  replicas     ${others.length === 0 ? 'none' : others.join(', ')}`,
    `  status page  ${consoleUrl}`,
    '',
    '  try',
    `    redis-cli -p ${first} set k v`,
    `    redis-cli -p ${first} get k`,
    ...killAdvice(world, { primary, isInteractive, consoleUrl }),
    '',
    `  Ctrl-C ends everything that was started.`,
    '',
  ].join('\n')
}

function killAdvice(
  world: LocalWorld,
  options: {
    readonly primary: string | undefined
    readonly isInteractive: boolean
    readonly consoleUrl: string
  },
): readonly string[] {
  const pid = world.servers?.pidOf(options.primary ?? '')
  if (pid === undefined) return []
  const key = options.isInteractive ? ', press k here,' : ''
  return [
    `    kill -9 ${pid}${key} or use the button on the status page: the primary is gone,`,
    '    a replica takes over, and the old primary comes back as a replica',
  ]
}

function same(text: string): string {
  return text
}

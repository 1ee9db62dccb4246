/** What `respmesh up` prints: a block to begin with, then one line per event. */
import { assertNever } from '../../common/errors.ts'
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
  const primary = status.topology?.primary
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
    ...serverRows(world),
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

/** Which server is which, as far as the mode has it. */
function serverRows(world: LocalWorld): readonly string[] {
  const { spec, status } = world.proxy()
  const members = status?.members ?? []
  const { primary, shards, slots } = status?.topology ?? {}
  const those = (role: string) =>
    members.filter((member) => member.role === role).map(({ address }) => address)
  const list = (found: readonly string[], none: string) =>
    found.length === 0 ? none : found.join(', ')
  switch (spec.backend.mode) {
    case 'Cluster':
      return [
        `  cluster      ${shards ?? 0} shards, ${slots ?? '0'} slots`,
        `  primaries    ${list(those('primary'), 'none yet')}`,
        `  replicas     ${list(those('replica'), 'none')}`,
      ]
    case 'Ring':
      return [`  ring         ${list(those('primary'), 'none yet')}`]
    case 'Standalone':
    case 'Replication': {
      const others = members.map(({ address }) => address).filter((each) => each !== primary)
      const { sentinel } = spec.backend
      const watchers = sentinel?.endpoints.map(({ host, port }) => `${host}:${port}`)
      return [
        `  primary      ${primary ?? 'none yet'}`,
        `  replicas     ${list(others, 'none')}`,
        ...(watchers === undefined ? [] : [`  Sentinels    ${watchers.join(', ')}`]),
      ]
    }
    default:
      return assertNever(spec.backend.mode)
  }
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

/** The settings that are one number each: timeouts, bounds, counts. Their bounds are those of the contract, which a test compares. */
import type { Limits, ProxyConfig, Timing } from '../../common/contract/proxy-config.ts'
import type { Problems } from './problems.ts'
import type { GivenSettings } from './settings.ts'

const millis = (minimum: number, maximum: number) => ({ value: 'MILLISECONDS', minimum, maximum })
const bytes = (minimum: number, maximum: number) => ({ value: 'BYTES', minimum, maximum })
const count = (minimum: number, maximum: number) => ({ value: 'NUMBER', minimum, maximum })

export const numberSettings = {
  connectTimeoutMs: {
    env: 'RESPMESH_CONNECT_TIMEOUT_MS',
    ...millis(10, 60_000),
    help: 'longest wait for a connection to a server to be usable (1000)',
  },
  holdTimeoutMs: {
    env: 'RESPMESH_HOLD_TIMEOUT_MS',
    ...millis(0, 600_000),
    help: 'longest time a command is held while no primary may take it (5000)',
  },
  replyTimeoutMs: {
    env: 'RESPMESH_REPLY_TIMEOUT_MS',
    ...millis(0, 3_600_000),
    help: 'longest silence of a server that owes replies to commands that do not block (0: none)',
  },
  drainTimeoutMs: {
    env: 'RESPMESH_DRAIN_TIMEOUT_MS',
    ...millis(0, 3_600_000),
    help: 'longest wait for commands in flight at pause and at the end (10000)',
  },
  queueTimeoutMs: {
    env: 'RESPMESH_QUEUE_TIMEOUT_MS',
    ...millis(0, 3_600_000),
    help: 'longest time a command waits for a server that takes no more; then it gets an error (5000)',
  },
  readTimeLimitMs: {
    env: 'RESPMESH_READ_TIME_LIMIT_MS',
    ...millis(0, 3_600_000),
    help: 'longest time from a command to its reply, blocking ones too; the client of a longer one is closed (0: none)',
  },
  clientIdleTimeoutMs: {
    env: 'RESPMESH_CLIENT_IDLE_TIMEOUT_MS',
    ...millis(0, 3_600_000),
    help: 'a client that sends nothing for so long is closed (0: never)',
  },
  clientsMax: {
    env: 'RESPMESH_CLIENTS_MAX',
    ...count(1, 1_000_000),
    help: 'clients at once; the next gets an error and is closed (10000)',
  },
  argumentBytesMax: {
    env: 'RESPMESH_ARGUMENT_BYTES_MAX',
    ...bytes(1024, 536_870_912),
    help: 'longest single argument of a command (536870912)',
  },
  clientInFlightBytesMax: {
    env: 'RESPMESH_CLIENT_IN_FLIGHT_BYTES_MAX',
    ...bytes(4096, 1 << 30),
    help: 'what a client may have unanswered before it is read no further (1048576)',
  },
  clientOutputBytesMax: {
    env: 'RESPMESH_CLIENT_OUTPUT_BYTES_MAX',
    ...bytes(4096, 1 << 30),
    help: 'replies that a client may leave unread before it is paused (1048576)',
  },
  upstreamQueueBytesMax: {
    env: 'RESPMESH_UPSTREAM_QUEUE_BYTES_MAX',
    ...bytes(4096, 1 << 30),
    help: 'what waits for a server before all clients are read no further (16777216)',
  },
  upstreamQueueCommandsMax: {
    env: 'RESPMESH_UPSTREAM_QUEUE_COMMANDS_MAX',
    ...count(1, 10_000_000),
    help: 'commands that wait for a server before new ones are refused (10000)',
  },
  memoryBytesMax: {
    env: 'RESPMESH_MEMORY_BYTES_MAX',
    ...bytes(64 * 1024 * 1024, Number.MAX_SAFE_INTEGER),
    help: 'resident memory; near it the largest clients are closed, then new ones refused (absent: that of the container)',
  },
  connectionsMax: {
    env: 'RESPMESH_UPSTREAM_CONNECTIONS_MAX',
    ...count(1, 64),
    help: 'shared connections to the primary per process (1)',
  },
  workers: {
    env: 'RESPMESH_WORKERS',
    ...count(1, 64),
    help: 'processes that share the listeners, for more than one core; read at the start only (1)',
  },
} as const

export type NumberName = keyof typeof numberSettings

const timingNames = [
  'connectTimeoutMs',
  'holdTimeoutMs',
  'replyTimeoutMs',
  'drainTimeoutMs',
  'queueTimeoutMs',
  'readTimeLimitMs',
  'clientIdleTimeoutMs',
] as const satisfies readonly (keyof Timing)[]
const limitNames = [
  'clientsMax',
  'argumentBytesMax',
  'clientInFlightBytesMax',
  'clientOutputBytesMax',
  'upstreamQueueBytesMax',
  'upstreamQueueCommandsMax',
  'memoryBytesMax',
] as const satisfies readonly (keyof Limits)[]

export interface ReadNumbers {
  readonly timing?: Partial<Timing>
  readonly limits?: Partial<Limits>
  readonly connectionsMax?: number
  readonly workers?: NonNullable<ProxyConfig['workers']>
}

export function readNumbers(given: GivenSettings, problems: Problems): ReadNumbers {
  const [timing, limits] = [timingNames, limitNames].map((names) => {
    const found = names.flatMap((name) => {
      const value = readNumber(name, given, problems)
      return value === undefined ? [] : [[name, value] as const]
    })
    return found.length === 0 ? undefined : Object.fromEntries(found)
  })
  const connectionsMax = readNumber('connectionsMax', given, problems)
  const workers = readNumber('workers', given, problems)
  return {
    ...(timing && { timing }),
    ...(limits && { limits }),
    ...(connectionsMax !== undefined && { connectionsMax }),
    ...(workers !== undefined && { workers }),
  }
}

function readNumber(
  name: NumberName,
  given: GivenSettings,
  problems: Problems,
): number | undefined {
  const setting = given[name]
  if (setting === undefined) return undefined
  const { minimum, maximum, value: unit } = numberSettings[name]
  const value = /^\d{1,16}$/.test(setting.value) ? Number(setting.value) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  const what = unit === 'NUMBER' ? 'a number' : `a number of ${unit.toLowerCase()}`
  problems.add(setting, `expected ${what} from ${minimum} to ${maximum}, digits only`)
  return undefined
}

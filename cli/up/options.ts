/** The command line of `respmesh up`. */
import { parseArgs } from 'node:util'
import { ConfigError } from '../../common/errors.ts'
import type { LogLevel } from '../../common/log.ts'

export interface UpOptions {
  readonly isHelp: boolean
  /** Manifest; absent: the example. */
  readonly file?: string
  /** Start servers although the file names some. */
  readonly withServers: boolean
  /** Servers that exist. */
  readonly upstream?: readonly string[]
  readonly port: number
  readonly consolePort: number
  readonly isDemo: boolean
  readonly trials: number
  readonly jsonFile?: string
  readonly logLevel: LogLevel
}

export const upHelp = `Usage: respmesh up [OPTIONS]

Runs everything on this machine: a primary and replicas, the controller, two sidecars, a status page. With a FILE it
plays what that has: a cluster, Sentinels, a ring.

  -f, --file FILE        manifest with a RedisProxy (default: examples/redisproxy.yaml, played by local servers)
      --with-servers     start local servers in place of the endpoints that FILE names
      --upstream URL,…   front servers that exist: redis://, valkey://, rediss://, valkeys://, HOST:PORT,
                         or unix:///PATH for one
      --port PORT        where the first sidecar listens (16379)
      --console-port P   where the status page is (16300)
      --demo             play the whole story unattended: write, kill the primary, go on, account for all
      --trials N         with --demo: how often (1)
      --json FILE        with --demo: leave the figures there
      --log-level LEVEL  of the controller, on standard error: error, warn, info or debug (error)

Ctrl-C ends everything that was started, and leaves nothing behind.`

const portDefault = 16379
const consolePortDefault = 16300
const trialsMax = 1000

/** @throws ConfigError RM_USAGE */
export function parseUpOptions(args: readonly string[]): UpOptions {
  const values = readValues(args)
  const isDemo = values.demo === true
  if (!isDemo && (values.json !== undefined || values.trials !== undefined)) {
    throw usage('--json and --trials go with --demo')
  }
  if (values.upstream !== undefined && (values.file !== undefined || values['with-servers'])) {
    throw usage('--upstream names the servers; leave --file and --with-servers out')
  }
  if (isDemo && values.upstream !== undefined) {
    throw usage(
      '--demo kills the primary, so it plays with servers of its own only; leave --upstream out',
    )
  }
  return {
    isHelp: values.help === true,
    ...(values.file !== undefined && { file: values.file }),
    withServers: values['with-servers'] === true,
    ...(values.upstream !== undefined && {
      upstream: values.upstream.split(',').filter((url) => url !== ''),
    }),
    port: integer('port', values.port, { fallback: portDefault, min: 1, max: 65535 }),
    consolePort: integer('console-port', values['console-port'], {
      fallback: consolePortDefault,
      min: 0,
      max: 65535,
    }),
    isDemo,
    trials: integer('trials', values.trials, { fallback: 1, min: 1, max: trialsMax }),
    ...(values.json !== undefined && { jsonFile: values.json }),
    logLevel: logLevel(values['log-level']),
  }
}

function readValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        file: { type: 'string', short: 'f' },
        'with-servers': { type: 'boolean' },
        upstream: { type: 'string' },
        port: { type: 'string' },
        'console-port': { type: 'string' },
        demo: { type: 'boolean' },
        trials: { type: 'string' },
        json: { type: 'string' },
        'log-level': { type: 'string' },
      },
    }).values
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause))
  }
}

function integer(
  name: string,
  text: string | undefined,
  { fallback, min, max }: { readonly fallback: number; readonly min: number; readonly max: number },
): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw usage(`--${name} must be a number from ${min} to ${max} (it is "${text}")`)
  }
  return value
}

function logLevel(text = 'error'): LogLevel {
  if (text === 'error' || text === 'warn' || text === 'info' || text === 'debug') return text
  throw usage(`--log-level must be error, warn, info or debug (it is "${text}")`)
}

function usage(message: string): ConfigError {
  return new ConfigError('RM_USAGE', `${message}\n\n${upHelp}`)
}

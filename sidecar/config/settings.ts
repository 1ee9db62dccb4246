/**
 * What a sidecar can be told from outside: one table of settings, each with its environment variable and, for
 * most, a flag. Reading them is here; what they mean together is in `options.ts`.
 */
import { parseArgs } from 'node:util'
import { ConfigError } from '../../common/errors.ts'
import { backendSettings } from './backend-settings.ts'
import { numberSettings } from './numbers.ts'

interface Setting {
  readonly env: string
  readonly flag?: string
  /** Stands for the value in the help text. */
  readonly value: string
  readonly help: string
}

export const settings = {
  upstream: {
    env: 'RESPMESH_UPSTREAM',
    flag: 'upstream',
    value: 'URL[,URL…]',
    help: 'servers to front: redis://, valkey://, rediss://, valkeys://, unix:// or HOST:PORT; of several, the primary is found and followed',
  },
  listen: {
    env: 'RESPMESH_LISTEN',
    flag: 'listen',
    value: 'HOST:PORT[,…]',
    help: 'where clients connect (127.0.0.1:16379 where nothing says otherwise)',
  },
  unix: {
    env: 'RESPMESH_UNIX',
    flag: 'unix',
    value: 'PATH[,…]',
    help: 'unix socket where clients connect, beside or instead of --listen; @NAME is one without a file',
  },
  listenTls: {
    env: 'RESPMESH_LISTEN_TLS',
    value: 'HOST:PORT[,…]',
    help: 'where clients connect with TLS 1.2 or 1.3, beside or instead of the others',
  },
  listenTlsCertFile: {
    env: 'RESPMESH_LISTEN_TLS_CERT_FILE',
    value: 'FILE',
    help: 'PEM certificate chain that those clients are shown',
  },
  listenTlsKeyFile: {
    env: 'RESPMESH_LISTEN_TLS_KEY_FILE',
    value: 'FILE',
    help: 'PEM key of that certificate',
  },
  listenTlsClientCertificate: {
    env: 'RESPMESH_LISTEN_TLS_CLIENT_CERTIFICATE',
    value: 'none|optional|required',
    help: 'whether those clients must show a certificate; optional: one that is shown must be good (none; required with the file of authorities)',
  },
  listenTlsClientCaFile: {
    env: 'RESPMESH_LISTEN_TLS_CLIENT_CA_FILE',
    value: 'FILE',
    help: 'PEM bundle of the authorities of client certificates',
  },
  admin: {
    env: 'RESPMESH_ADMIN',
    flag: 'admin',
    value: 'HOST:PORT',
    help: 'HTTP port for health, metrics, status and pause',
  },
  config: {
    env: 'RESPMESH_CONFIG',
    flag: 'config',
    value: 'FILE',
    help: 'a ProxyConfig as JSON; read again when it changes and on SIGHUP',
  },
  logLevel: {
    env: 'RESPMESH_LOG_LEVEL',
    flag: 'log-level',
    value: 'LEVEL',
    help: 'error, warn, info or debug',
  },
  upstreamUsername: {
    env: 'RESPMESH_UPSTREAM_USERNAME',
    value: 'NAME',
    help: 'ACL user at the servers; absent: the default user',
  },
  upstreamUsernameFile: {
    env: 'RESPMESH_UPSTREAM_USERNAME_FILE',
    value: 'FILE',
    help: 'the same, read from a file at every connection',
  },
  upstreamPassword: {
    env: 'RESPMESH_UPSTREAM_PASSWORD',
    value: 'PASSWORD',
    help: 'password at the servers',
  },
  upstreamPasswordFile: {
    env: 'RESPMESH_UPSTREAM_PASSWORD_FILE',
    value: 'FILE',
    help: 'the same, read from a file at every connection',
  },
  tlsCaFile: {
    env: 'RESPMESH_UPSTREAM_TLS_CA_FILE',
    value: 'FILE',
    help: 'PEM bundle to trust instead of the public roots (rediss:// and valkeys://)',
  },
  tlsVerify: {
    env: 'RESPMESH_UPSTREAM_TLS_VERIFY',
    value: 'true|false',
    help: 'whether the certificate of the servers is checked (true)',
  },
  tlsServerName: {
    env: 'RESPMESH_UPSTREAM_TLS_SERVER_NAME',
    value: 'NAME',
    help: 'name to expect in the certificate in place of the host',
  },
  tlsCertFile: {
    env: 'RESPMESH_UPSTREAM_TLS_CERT_FILE',
    value: 'FILE',
    help: 'PEM client certificate',
  },
  tlsKeyFile: {
    env: 'RESPMESH_UPSTREAM_TLS_KEY_FILE',
    value: 'FILE',
    help: 'PEM key of the client certificate',
  },
  clientUsername: {
    env: 'RESPMESH_CLIENT_USERNAME',
    value: 'NAME',
    help: 'user that clients must name; absent: the default user',
  },
  clientUsernameFile: {
    env: 'RESPMESH_CLIENT_USERNAME_FILE',
    value: 'FILE',
    help: 'the same, read from a file',
  },
  clientPassword: {
    env: 'RESPMESH_CLIENT_PASSWORD',
    value: 'PASSWORD',
    help: 'password that clients must give; absent: none',
  },
  clientPasswordFile: {
    env: 'RESPMESH_CLIENT_PASSWORD_FILE',
    value: 'FILE',
    help: 'the same, read from a file',
  },
  clientUsersDir: {
    env: 'RESPMESH_CLIENT_USERS_DIR',
    value: 'FOLDER',
    help: 'users that clients may be, one file each: its name is the user, its content the password, as a Secret is mounted; the names are read at the start',
  },
  isolation: {
    env: 'RESPMESH_ISOLATION',
    value: 'shared|perClient',
    help: 'whether clients share connections where nothing can tell, or each has one of its own (shared)',
  },
  zone: {
    env: 'RESPMESH_ZONE',
    value: 'NAME',
    help: 'where this sidecar runs, for reads from replicas of the same zone, where the configuration does not say it',
  },
  ...numberSettings,
  ...backendSettings,
  commandsAllow: {
    env: 'RESPMESH_COMMANDS_ALLOW',
    value: 'NAME[,NAME…]',
    help: 'commands to let through although they are refused by default: config|set for a sub-command, * for all',
  },
  commandsDeny: {
    env: 'RESPMESH_COMMANDS_DENY',
    value: 'NAME[,NAME…]',
    help: 'commands to refuse besides; of two names that fit a command the more exact one counts',
  },
  streamUrl: {
    env: 'RESPMESH_STREAM_URL',
    value: 'URL',
    help: 'control plane to take the configuration from: https://HOST:PORT, or http:// on loopback',
  },
  streamTokenFile: {
    env: 'RESPMESH_STREAM_TOKEN_FILE',
    value: 'FILE',
    help: 'token to show there, read again for every connection',
  },
  streamCaFile: {
    env: 'RESPMESH_STREAM_CA_FILE',
    value: 'FILE',
    help: 'PEM bundle that its certificate must chain to, read again for every connection',
  },
  proxy: {
    env: 'RESPMESH_PROXY',
    value: 'NAMESPACE/NAME',
    help: 'the RedisProxy whose configuration this sidecar obeys',
  },
  id: {
    env: 'RESPMESH_ID',
    value: 'ID',
    help: 'unique name of this sidecar, e.g. the NAMESPACE/NAME of its pod (host name and process id)',
  },
  stateDir: {
    env: 'RESPMESH_STATE_DIR',
    value: 'FOLDER',
    help: 'where the last good configuration is kept, to serve on after a restart without the control plane',
  },
  bootstrapFile: {
    env: 'RESPMESH_BOOTSTRAP_FILE',
    value: 'FILE',
    help: 'a ProxyConfig to begin with while the control plane cannot be reached',
  },
} as const satisfies Readonly<Record<string, Setting>>

export type SettingName = keyof typeof settings

/** A value, and the name under which its giver knows it: `--listen` or the variable. */
export interface Given {
  readonly value: string
  readonly origin: string
  readonly isFlag: boolean
}

export type Environment = Readonly<Record<string, string | undefined>>
export type GivenSettings = Readonly<Partial<Record<SettingName, Given>>>

export interface ReadSettings {
  readonly given: GivenSettings
  readonly isHelp: boolean
  /** Variables that look like ours and are not. */
  readonly unknownVariables: readonly string[]
}

export const settingNames = Object.keys(settings) as SettingName[]

/** Flags win over variables; an empty variable counts as not set. @throws ConfigError RM_USAGE */
export function readSettings(args: readonly string[], env: Environment): ReadSettings {
  const flags = readFlags(args)
  const given: Partial<Record<SettingName, Given>> = {}
  for (const name of settingNames) {
    const setting: Setting = settings[name]
    const flagged = setting.flag === undefined ? undefined : flags.values[setting.flag]
    const variable = env[setting.env]
    if (typeof flagged === 'string') {
      given[name] = { value: flagged, origin: `--${setting.flag}`, isFlag: true }
    } else if (variable !== undefined && variable !== '') {
      given[name] = { value: variable, origin: setting.env, isFlag: false }
    }
  }
  return { given, isHelp: flags.values['help'] === true, unknownVariables: unknownVariables(env) }
}

function readFlags(args: readonly string[]) {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const name of settingNames) {
    const { flag }: Setting = settings[name]
    if (flag !== undefined) options[flag] = { type: 'string' }
  }
  try {
    return parseArgs({ args: [...args], options })
  } catch (cause) {
    const message = cause instanceof Error ? redactUrls(cause.message) : 'cannot be read'
    throw new ConfigError('RM_USAGE', `${message}\n${hint}`)
  }
}

export const hint = 'respmesh sidecar --help lists the flags and variables.'

/** What Kubernetes sets by itself in pods beside a Service whose name begins with ours. */
const serviceVariable = /_(SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)$/

function unknownVariables(env: Environment): string[] {
  const known = new Set<string>(settingNames.map((name) => settings[name].env))
  return Object.keys(env).filter(
    (name) => name.startsWith('RESPMESH_') && !known.has(name) && !serviceVariable.test(name),
  )
}

/** Hides whatever may be a user or password: all between a scheme, or the start, and the last `@`. */
export function redactUrls(text: string): string {
  const at = text.lastIndexOf('@')
  if (at === -1) return text
  const scheme = text.indexOf('://')
  const start = scheme !== -1 && scheme < at ? scheme + 3 : 0
  return `${text.slice(0, start)}…${text.slice(at)}`
}

export function helpText(): string {
  const rows = settingNames.map((name): readonly [string, string] => {
    const setting: Setting = settings[name]
    const flag = setting.flag === undefined ? '' : `--${setting.flag} ${setting.value}`
    return [flag, `${setting.env}${flag === '' ? ` = ${setting.value}` : ''}\n${setting.help}`]
  })
  const flagged = rows.filter(([flag]) => flag !== '')
  const others = rows.filter(([flag]) => flag === '')
  const line = ([flag, text]: readonly [string, string]) =>
    `  ${[flag, ...text.split('\n')].filter((part) => part !== '').join('\n      ')}`
  return [
    'Usage: respmesh sidecar --upstream URL[,URL…] [--listen HOST:PORT] [--admin HOST:PORT]',
    '       respmesh sidecar --config FILE',
    '       RESPMESH_STREAM_URL=… RESPMESH_PROXY=… respmesh sidecar',
    '',
    'A proxy for Redis and Valkey beside one application. Flags win over variables, variables over the file.',
    '',
    'Flags, each with the variable that does the same:',
    ...flagged.map(line),
    '',
    'Variables only:',
    ...others.map(line),
    '',
    'Signals: SIGTERM, SIGINT finish what is in flight and end; a second one ends at once. SIGHUP reads the',
    'configuration file again.',
  ].join('\n')
}

/** What the settings mean together: where the configuration comes from, and what overrides it. */
import {
  type Listener,
  type ProxyConfig,
  standaloneConfig,
} from '../../common/contract/proxy-config.ts'
import { streamIdLengthMax } from '../../common/limits.ts'
import type { LogLevel } from '../../common/log.ts'
import { readClientUsers } from './client-users.ts'
import { readCommandPolicy } from './commands.ts'
import { hasPlace, readAdmin } from './admin.ts'
import { readBackend } from './backend.ts'
import { readListeners } from './listeners.ts'
import { readNumbers } from './numbers.ts'
import { Problems } from './problems.ts'
import type { Overrides } from './overrides.ts'
import {
  type Environment,
  type Given,
  type GivenSettings,
  type ReadSettings,
  type SettingName,
  settings,
} from './settings.ts'
import { readUpstream } from './upstream.ts'

export interface StreamOptions {
  /** `https:`, or `http:` to a loopback address. */
  readonly url: URL
  readonly tokenFile: string
  readonly caFile?: string
  readonly proxy: { readonly namespace: string; readonly name: string }
  readonly id: string
  readonly stateDir?: string
  readonly bootstrapFile?: string
}

/** Where the configuration comes from; one at a time. */
export type Source =
  | { readonly kind: 'standalone'; readonly config: ProxyConfig }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stream'; readonly stream: StreamOptions }

export interface SidecarOptions {
  readonly source: Source
  /** What flags and variables say over a file or the control plane. */
  readonly overrides: Overrides
  /** Until a configuration is in force, which has a level of its own. */
  readonly logLevel: LogLevel
  /** Where secrets are looked up: the process’s environment and what stood in URLs. */
  readonly env: Environment
  /** Sentences for the log: settings that have no effect. */
  readonly warnings: readonly string[]
}

const defaultListener: Listener = { host: '127.0.0.1', port: 16379 }

/**
 * `defaultId` names the sidecar to the control plane where nobody gave it a name.
 * @throws ConfigError RM_USAGE with everything that is wrong
 */
export function sidecarOptions(
  read: ReadSettings,
  env: Environment,
  defaultId: string,
): SidecarOptions {
  const problems = new Problems()
  const { given } = read
  const upstream = readUpstream(given, problems)
  const users = readClientUsers(given, problems)
  const logLevel = readLogLevel(given.logLevel, problems)
  const warnings = read.unknownVariables.map(
    (name) => `${name} is not a variable of respmesh and has no effect`,
  )
  const kind = sourceKind(given, { problems, warnings })
  const overrides: Overrides = {
    ...optional('listeners', readListeners(given, problems)),
    ...optional('admin', readAdmin(given, problems)),
    // An injected variable cannot be changed without a restart, the level of a RedisProxy can.
    ...(kind !== 'stream' && optional('logLevel', logLevel)),
    ...optional('clientAuth', users.clientAuth),
    ...optional('isolation', readIsolation(given.isolation, problems)),
    ...optional('zone', given.zone?.value),
    ...readNumbers(given, problems),
    ...optional('commands', readCommandPolicy(given, problems)),
    ...upstream.overrides,
    ...optional('backend', readBackend(given, problems)),
  }
  const stream = kind === 'stream' ? readStream(given, defaultId, problems) : undefined
  if (kind !== 'stream') warnWithoutStream(given, warnings)
  problems.throwIfAny()
  return {
    source: sourceOf({ kind, given, stream, overrides }),
    overrides,
    logLevel: logLevel ?? 'info',
    env: { ...env, ...upstream.secrets, ...users.secrets },
    warnings,
  }
}

type SourceKind = Source['kind']

function sourceKind(
  given: GivenSettings,
  to: { readonly problems: Problems; readonly warnings: string[] },
): SourceKind | undefined {
  const { upstream, config, streamUrl } = given
  const local = config ?? upstream
  if (streamUrl !== undefined) {
    if (local === undefined) return 'stream'
    const isFlagged = upstream?.isFlag === true || config?.isFlag === true
    if (!isFlagged) {
      to.problems.note(
        `${local.origin} and ${streamUrl.origin} are both set: the configuration comes from one of them; unset the other`,
      )
      return undefined
    }
    to.warnings.push(
      `${streamUrl.origin} has no effect beside ${(config?.isFlag === true ? config : upstream)?.origin}`,
    )
  }
  if (config !== undefined) return 'file'
  if (upstream !== undefined) return 'standalone'
  to.problems.note(
    `nothing says which servers to front: give --upstream redis://HOST:PORT (${settings.upstream.env}), --config FILE (${settings.config.env}) or ${settings.streamUrl.env}`,
  )
  return undefined
}

function sourceOf(options: {
  readonly kind: SourceKind | undefined
  readonly given: GivenSettings
  readonly stream: StreamOptions | undefined
  readonly overrides: Overrides
}): Source {
  const { kind, given, stream, overrides } = options
  if (kind === 'stream' && stream !== undefined) return { kind, stream }
  if (kind === 'file' && given.config) return { kind, path: given.config.value }
  if (overrides.upstream === undefined) throw new Error('unreachable: a source was checked for')
  const config = standaloneConfig({
    members: overrides.upstream.members,
    listeners: overrides.listeners ?? [defaultListener],
    ...optional('tls', overrides.upstream.tls),
    ...(hasPlace(overrides.admin) && { admin: overrides.admin }),
    ...optional('credentials', overrides.credentials),
    ...optional('clientAuth', overrides.clientAuth),
    ...optional('commands', overrides.commands),
    ...optional('logLevel', overrides.logLevel),
  })
  return { kind: 'standalone', config }
}

const isolations = ['shared', 'perClient'] as const

function readIsolation(given: Given | undefined, problems: Problems) {
  if (given === undefined) return undefined
  const isolation = isolations.find((known) => known === given.value)
  if (isolation === undefined) problems.add(given, `expected one of ${isolations.join(', ')}`)
  return isolation
}

const logLevels = ['error', 'warn', 'info', 'debug'] as const

function readLogLevel(given: Given | undefined, problems: Problems): LogLevel | undefined {
  if (given === undefined) return undefined
  const level = logLevels.find((known) => known === given.value)
  if (level === undefined) problems.add(given, `expected one of ${logLevels.join(', ')}`)
  return level
}

function readStream(
  given: GivenSettings,
  defaultId: string,
  problems: Problems,
): StreamOptions | undefined {
  const url = given.streamUrl && readStreamUrl(given.streamUrl, problems)
  const proxy = readProxy(given.proxy, problems)
  const { id, streamTokenFile: tokenFile } = given
  if (id !== undefined && id.value.length > streamIdLengthMax) {
    problems.note(`${id.origin} has ${id.value.length} characters; at most ${streamIdLengthMax}`)
  }
  if (tokenFile === undefined) {
    problems.note(`${settings.streamTokenFile.env} is missing: name the file that holds the token`)
  }
  if (url === undefined || proxy === undefined || tokenFile === undefined) return undefined
  return {
    url,
    proxy,
    tokenFile: tokenFile.value,
    id: id?.value ?? defaultId,
    ...optional('caFile', given.streamCaFile?.value),
    ...optional('stateDir', given.stateDir?.value),
    ...optional('bootstrapFile', given.bootstrapFile?.value),
  }
}

function readStreamUrl(given: Given, problems: Problems): URL | undefined {
  const url = URL.canParse(given.value) ? new URL(given.value) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    problems.add(given, 'expected https://HOST:PORT')
    return undefined
  }
  const isBare = (url.pathname === '/' || url.pathname === '') && url.search === ''
  if (!isBare || url.username !== '' || url.password !== '') {
    problems.add(given, 'give only scheme, host and port; the token comes from its file')
  }
  if (url.protocol === 'http:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)) {
    problems.add(given, 'without TLS only a loopback address is allowed, since a token is sent')
  }
  return url
}

function readProxy(given: Given | undefined, problems: Problems) {
  if (given === undefined) {
    problems.note(`${settings.proxy.env} is missing: name the RedisProxy as NAMESPACE/NAME`)
    return undefined
  }
  const match =
    /^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/([a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?)$/.exec(
      given.value,
    )
  const [, namespace, name] = match ?? []
  if (namespace === undefined || name === undefined) {
    problems.add(given, 'expected NAMESPACE/NAME of a RedisProxy, e.g. shop/cache')
    return undefined
  }
  return { namespace, name }
}

const streamOnly = [
  'streamTokenFile',
  'streamCaFile',
  'proxy',
  'stateDir',
  'bootstrapFile',
] as const

function warnWithoutStream(given: GivenSettings, warnings: string[]): void {
  const idle: readonly SettingName[] = streamOnly
  for (const name of idle) {
    const value = given[name]
    if (value !== undefined) {
      warnings.push(`${value.origin} has no effect without ${settings.streamUrl.env}`)
    }
  }
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V })
}

/** The settings about what the backend is: its mode, who says which server is the primary, where reads go. */
import type { UpstreamConfig } from '../../common/contract/proxy-config.ts'
import { parseHostPort } from '../../common/redis/url.ts'
import type { BackendName } from './backend-settings.ts'
import { backendSettings } from './backend-settings.ts'
import type { Problems } from './problems.ts'
import type { Given, GivenSettings } from './settings.ts'
import { readCredentials } from './upstream.ts'

/** What replaces fields of `upstream`; `mode` and `discovery` only where servers are named by variables. */
export interface BackendOverrides {
  readonly mode?: UpstreamConfig['mode']
  readonly sentinel?: NonNullable<UpstreamConfig['sentinel']>
  readonly reads?: NonNullable<UpstreamConfig['reads']>
  readonly retries?: Partial<NonNullable<UpstreamConfig['retries']>>
  readonly cluster?: NonNullable<UpstreamConfig['cluster']>
  readonly ring?: NonNullable<UpstreamConfig['ring']>
}

export function readBackend(
  given: GivenSettings,
  problems: Problems,
): BackendOverrides | undefined {
  const backend: BackendOverrides = {
    ...some('mode', readMode(given, problems)),
    ...some('sentinel', readSentinel(given, problems)),
    ...some('reads', readReads(given, problems)),
    ...some('retries', readRetries(given, problems)),
    ...some('cluster', readCluster(given, problems)),
    ...some('ring', readRing(given, problems)),
  }
  const { mode } = backend
  const needs = (name: BackendName, wanted: UpstreamConfig['mode']) => {
    const setting = given[name]
    if (setting === undefined || mode === wanted || given.upstream === undefined) return
    problems.add(setting, `it needs ${backendSettings.mode.env}=${wanted}`)
  }
  needs('clusterPresent', 'cluster')
  for (const name of ['ringHashTag', 'ringEjectAfter', 'ringEjectMs'] as const) needs(name, 'ring')
  return Object.keys(backend).length === 0 ? undefined : backend
}

function readMode(given: GivenSettings, problems: Problems): UpstreamConfig['mode'] | undefined {
  const mode = choice(given.mode, ['standalone', 'replication', 'cluster', 'ring'], problems)
  if (given.mode !== undefined && given.upstream === undefined) {
    problems.add(
      given.mode,
      'it needs servers named by --upstream; a configuration has a mode of its own',
    )
  }
  if (mode !== undefined) return mode
  // What is read from replicas, or followed through Sentinels, has replicas.
  const isReplicated = given.sentinels !== undefined || given.reads?.value === 'readsToReplicas'
  return isReplicated && given.upstream !== undefined ? 'replication' : undefined
}

function readSentinel(given: GivenSettings, problems: Problems): BackendOverrides['sentinel'] {
  const { sentinels, sentinelName } = given
  const credentials = readCredentials('sentinel', given, problems)
  if (sentinels === undefined) {
    if (sentinelName) problems.add(sentinelName, `it needs ${backendSettings.sentinels.env}`)
    return undefined
  }
  if (given.upstream === undefined) {
    problems.add(sentinels, 'name one of the servers by --upstream too: it says how to connect')
  }
  if (sentinelName === undefined) {
    problems.note(
      `${backendSettings.sentinelName.env} is missing: the name that the Sentinels know`,
    )
  }
  const members = sentinels.value.split(',').flatMap((part) => {
    try {
      return [parseHostPort(part.trim())]
    } catch {
      problems.add({ ...sentinels, value: part.trim() }, 'expected HOST:PORT of a Sentinel')
      return []
    }
  })
  return { name: sentinelName?.value ?? '', members, ...(credentials && { credentials }) }
}

function readReads(given: GivenSettings, problems: Problems): BackendOverrides['reads'] {
  const policy = choice(given.reads, ['allToPrimary', 'readsToReplicas'], problems)
  const choose = choice(given.readsChoose, ['roundRobin', 'zone', 'latency'], problems)
  const own = choice(given.readYourWrites, ['true', 'false'], problems)
  const lagSecondsMax = number('readsLagSecondsMax', given, problems)
  const lagBytesMax = number('readsLagBytesMax', given, problems)
  if (policy === undefined) {
    for (const name of [
      'readsChoose',
      'readYourWrites',
      'readsLagSecondsMax',
      'readsLagBytesMax',
    ] as const) {
      const setting = given[name]
      if (setting) problems.add(setting, `it needs ${backendSettings.reads.env}`)
    }
    return undefined
  }
  if (choose === 'zone' && given.zone === undefined) {
    problems.note('RESPMESH_ZONE is missing: reads are to be answered in the zone of the sidecar')
  }
  return {
    policy,
    ...some('choose', choose),
    ...some('lagSecondsMax', lagSecondsMax),
    ...some('lagBytesMax', lagBytesMax),
    ...(own !== undefined && { readYourWrites: own === 'true' }),
  }
}

function readRetries(given: GivenSettings, problems: Problems): BackendOverrides['retries'] {
  const maxRetries = number('maxRetries', given, problems)
  const retryDelayMs = number('retryDelayMs', given, problems)
  if (maxRetries === undefined && retryDelayMs === undefined) return undefined
  return { ...some('maxRetries', maxRetries), ...some('retryDelayMs', retryDelayMs) }
}

function readCluster(given: GivenSettings, problems: Problems): BackendOverrides['cluster'] {
  const present = choice(given.clusterPresent, ['server', 'sidecar', 'nodes'], problems)
  return present && { present }
}

function readRing(given: GivenSettings, problems: Problems): BackendOverrides['ring'] {
  const hashTag = given.ringHashTag
  if (hashTag !== undefined && hashTag.value.length !== 2) {
    problems.add(hashTag, 'expected two characters, e.g. {}')
  }
  const ring = {
    ...some('hashTag', hashTag?.value),
    ...some('ejectAfter', number('ringEjectAfter', given, problems)),
    ...some('ejectMs', number('ringEjectMs', given, problems)),
  }
  return Object.keys(ring).length === 0 ? undefined : ring
}

function choice<T extends string>(
  given: Given | undefined,
  known: readonly T[],
  problems: Problems,
): T | undefined {
  if (given === undefined) return undefined
  const value = known.find((one) => one === given.value)
  if (value === undefined) problems.add(given, `expected one of ${known.join(', ')}`)
  return value
}

type BoundedName = {
  [K in BackendName]: (typeof backendSettings)[K] extends { minimum: number } ? K : never
}[BackendName]

function number(name: BoundedName, given: GivenSettings, problems: Problems): number | undefined {
  const setting = given[name]
  if (setting === undefined) return undefined
  const { minimum, maximum } = backendSettings[name]
  const value = /^\d{1,16}$/.test(setting.value) ? Number(setting.value) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  problems.add(setting, `expected a number from ${minimum} to ${maximum}, digits only`)
  return undefined
}

function some<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V })
}

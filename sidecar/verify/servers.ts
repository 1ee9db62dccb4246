/** Whether the servers of a configuration are there, let the sidecar in, and are what it takes them for. */
import { isDeepStrictEqual } from 'node:util'
import { systemClock } from '../../common/clock.ts'
import type { ProxyConfig, Sentinel, UpstreamPrimary } from '../../common/contract/proxy-config.ts'
import { UpstreamError } from '../../common/errors.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import { silentLog } from '../../common/log.ts'
import type { FileWatch } from '../../common/secret-files.ts'
import type { Environment } from '../config/index.ts'
import { newCounters } from '../data-plane.ts'
import { type Reply, textOf } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { type Address, SentinelDiscovery, choosePrimary, lookAround } from '../topology/index.ts'
import { Probe } from '../topology/probe.ts'
import { UpstreamAccess } from '../upstream/access.ts'
import { type Target, connectServer } from '../upstream/connect.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import { targetOf } from '../upstream/target.ts'
import type { Findings } from './findings.ts'
import { reasonOf } from './findings.ts'

interface ServerModules {
  readonly env: Environment
  readonly files: FileWatch
  readonly current: ProxyConfig | undefined
  readonly findings: Findings
}

/** Gives the primary that was found, where nothing names it. Never throws for what a server or a file does. */
export async function verifyServers(
  config: ProxyConfig,
  modules: ServerModules,
): Promise<UpstreamPrimary | undefined> {
  const { env, files, current, findings } = modules
  const { mode, discovery, primary } = config.upstream
  const link = new Link(new UpstreamAccess(files, env))
  if (mode === 'cluster' || mode === 'ring') {
    await (mode === 'cluster' ? verifyCluster : verifyRing)(config, link, findings)
    return undefined
  }
  if (discovery === 'operator') {
    // Without one, commands are held: that is what such a configuration is for.
    if (primary !== undefined) await tryTarget(targetOf(config, primary), link, findings)
    return undefined
  }
  const { sentinel } = config.upstream
  const found =
    sentinel === undefined
      ? await findPrimary(config, { env, current, findings })
      : await askSentinels(config, sentinel, { env, current, findings })
  if (found !== undefined) await tryTarget(targetOf(config, found), link, findings)
  return found
}

async function tryTarget(target: Target | undefined, link: Link, findings: Findings) {
  if (target === undefined) return
  const what = `server ${formatHostPort(target.server)}`
  await findings.try(what, () => link.use(target, async () => {}))
}

/** Asks all members for their roles; only one that is the primary has to be there. */
async function findPrimary(
  config: ProxyConfig,
  { env, current, findings }: Pick<ServerModules, 'env' | 'current' | 'findings'>,
): Promise<UpstreamPrimary | undefined> {
  const observations = await observe(config, env)
  // What is in force may know more of them than it was told.
  const known = new Set(current && placesOf(current))
  const isSameBackend = placesOf(config).every((place) => known.has(place))
  const present = isSameBackend ? current?.upstream.primary : undefined
  const choice = choosePrimary(observations, present)
  const isFound = choice.kind === 'primary'
  for (const one of observations) {
    if (one.kind !== 'unreachable') continue
    const sentence = `server ${formatHostPort(one)}: ${one.reason} [RM_UPSTREAM_CONNECT]`
    if (isFound) findings.remark(sentence)
    else findings.add(sentence)
  }
  if (isFound) return choice.primary
  const isAnyThere = observations.some(({ kind }) => kind !== 'unreachable')
  if (choice.kind === 'none' && isAnyThere) findings.add(`${choice.reason} [RM_NO_PRIMARY]`)
  return undefined
}

/** The members, and of a replicated backend those whom they name. */
async function observe({ upstream, timing }: ProxyConfig, env: Environment) {
  const probes: Probe[] = []
  const ask = ({ host, port }: Address) => {
    const timeoutMs = timing.connectTimeoutMs
    const probe = new Probe({ address: { host, port }, upstream, env, timeoutMs })
    probes.push(probe)
    return probe.observe()
  }
  const { mode, members } = upstream
  const observations =
    mode === 'replication' ? await lookAround(members, ask) : await Promise.all(members.map(ask))
  for (const probe of probes) probe.close()
  return observations
}

function placesOf({ upstream }: ProxyConfig): string[] {
  return upstream.members.map(formatHostPort)
}

/** As they are followed: one that was away in a failover names nobody. */
async function askSentinels(
  config: ProxyConfig,
  sentinel: Sentinel,
  { env, current, findings }: Pick<ServerModules, 'env' | 'current' | 'findings'>,
): Promise<UpstreamPrimary | undefined> {
  const isSame = isDeepStrictEqual(current?.upstream.sentinel, sentinel)
  const present = isSame ? current?.upstream.primary : undefined
  const modules = { env, log: silentLog, clock: systemClock, onNews: () => {} }
  const search = new SentinelDiscovery(config, sentinel, modules)
  const { isKept, primary } = await search.look(present)
  const failures = search.failures()
  search.close()
  const found = isKept ? present : primary
  for (const failure of failures) {
    if (found === undefined) findings.add(failure)
    else findings.remark(failure)
  }
  if (found === undefined && failures.length === 0) {
    findings.add(`the Sentinels agree on no primary "${sentinel.name}" [RM_NO_PRIMARY]`)
  }
  return found
}

/** One node of a cluster that covers all slots is enough: it knows the others. */
async function verifyCluster(config: ProxyConfig, link: Link, findings: Findings): Promise<void> {
  const attempts = config.upstream.members.map(async ({ host, port }) => {
    const target = targetOf(config, { host, port }, 'member')
    if (target === undefined) return undefined
    try {
      const info = await link.use(target, (connection) => askOne(connection, ['CLUSTER', 'INFO']))
      const text = textOf(info)
      if (/^cluster_state:ok/m.test(text)) return undefined
      const why = /^cluster_state:(\S+)/m.exec(text)?.[1] ?? text
      return `server ${formatHostPort({ host, port })}: its cluster is not ok: ${why} [RM_NO_PRIMARY]`
    } catch (error) {
      return `server ${formatHostPort({ host, port })}: ${reasonOf(error)}`
    }
  })
  const reasons = await Promise.all(attempts)
  const isAnyGood = reasons.includes(undefined)
  for (const reason of reasons) {
    if (reason === undefined) continue
    if (isAnyGood) findings.remark(reason)
    else findings.add(reason)
  }
}

/** Every server has keys that no other has; only a ring that ejects can begin without one. */
async function verifyRing(config: ProxyConfig, link: Link, findings: Findings): Promise<void> {
  const { members, ring } = config.upstream
  const attempts = members.map(async ({ host, port }) => {
    const target = targetOf(config, { host, port })
    try {
      if (target !== undefined) await link.use(target, async () => {})
      return undefined
    } catch (error) {
      return `server ${formatHostPort({ host, port })}: ${reasonOf(error)}`
    }
  })
  const reasons = (await Promise.all(attempts)).filter((reason) => reason !== undefined)
  const mayEject = ring?.ejectAfter !== undefined && reasons.length < members.length
  for (const reason of reasons) {
    if (mayEject) findings.remark(reason)
    else findings.add(reason)
  }
}

async function askOne(
  connection: UpstreamConnection,
  words: readonly string[],
): Promise<Reply | undefined> {
  const [reply] = await connection.ask(encodeCommand(words), 1)
  if (reply?.kind === 'error') throw new UpstreamError('RM_PROBE_FAILED', reply.text)
  return reply
}

/** Connects, makes sure of the server as for clients, and leaves it. */
class Link {
  private readonly access: UpstreamAccess

  constructor(access: UpstreamAccess) {
    this.access = access
  }

  /** @throws UpstreamError, ConfigError as `connectServer` */
  async use<T>(target: Target, ask: (connection: UpstreamConnection) => Promise<T>): Promise<T> {
    const modules = { access: this.access, counters: newCounters(), heard: { bytes: 0 } }
    const { signal } = new AbortController()
    const { connection } = await connectServer(target, 2, modules, signal)
    const timer = setTimeout(() => connection.destroy(), target.connectTimeoutMs)
    try {
      return await ask(connection)
    } finally {
      clearTimeout(timer)
      connection.destroy()
    }
  }
}

/** Whether the servers of a configuration are there, let the sidecar in, and are what it takes them for. */
import { isDeepStrictEqual } from 'node:util'
import type { ProxyConfig, Sentinel, UpstreamPrimary } from '../../common/contract/proxy-config.ts'
import { UpstreamError } from '../../common/errors.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import type { FileWatch } from '../../common/secret-files.ts'
import type { Environment } from '../config/index.ts'
import { newCounters } from '../data-plane.ts'
import { type Reply, textOf } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { choosePrimary } from '../topology/index.ts'
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
      : await askSentinels(config, sentinel, { link, findings })
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
  const { upstream, timing } = config
  const probes = upstream.members.map(
    ({ host, port }) =>
      new Probe({ address: { host, port }, upstream, env, timeoutMs: timing.connectTimeoutMs }),
  )
  const observations = await Promise.all(probes.map((probe) => probe.observe()))
  for (const probe of probes) probe.close()
  const isSameBackend = isDeepStrictEqual(placesOf(config), current && placesOf(current))
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

function placesOf({ upstream }: ProxyConfig): string[] {
  return upstream.members.map(formatHostPort)
}

/** The first Sentinel that knows the name decides. */
async function askSentinels(
  config: ProxyConfig,
  sentinel: Sentinel,
  { link, findings }: { readonly link: Link; readonly findings: Findings },
): Promise<UpstreamPrimary | undefined> {
  const { connectTimeoutMs } = config.timing
  const reasons: string[] = []
  for (const server of sentinel.members) {
    const { credentials, tls } = sentinel
    const target: Target = {
      server,
      role: 'member',
      connectTimeoutMs,
      ...(credentials && { credentials }),
      ...(tls && { tls }),
    }
    try {
      const reply = await link.use(target, (connection) =>
        askOne(connection, ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinel.name]),
      )
      const [host, port] = reply?.kind === 'list' ? reply.items.map(textOf) : []
      if (host !== undefined && port !== undefined) return { host, port: Number(port) }
      reasons.push(`Sentinel ${formatHostPort(server)}: it knows no primary "${sentinel.name}"`)
    } catch (error) {
      reasons.push(`Sentinel ${formatHostPort(server)}: ${reasonOf(error)}`)
    }
  }
  for (const reason of reasons) findings.add(reason)
  return undefined
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

/**
 * Finds the primary and its replicas where no control plane names them (`upstream.discovery: self`): asks the members
 * and, of a replicated backend, everyone whom they name, for their roles.
 */
import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import type { ProxyConfig, UpstreamPrimary } from '../../common/contract/proxy-config.ts'
import { assertNever } from '../../common/errors.ts'
import { memberForgetMs, membersLearntMax } from '../../common/limits.ts'
import { formatHostPort, isUnixPath } from '../../common/redis/url.ts'
import {
  type Address,
  type Choice,
  type Observation,
  choosePrimary,
  distinct,
  isMaster,
  isReplica,
  isSamePlace,
} from './choose-primary.ts'
import type { Found, Search, SearchModules } from './discovery.ts'
import { isNamed, lookAround } from './look-around.ts'
import { Probe } from './probe.ts'

/** A server that was asked. */
interface Known {
  readonly address: Address
  readonly probe: Probe
  /** When it was last answered by it or named by another. */
  aliveAtMs: number
  wasReplica: boolean
}

export class SelfDiscovery implements Search {
  private readonly config: ProxyConfig
  private readonly modules: SearchModules
  private readonly known = new Map<string, Known>()
  /** What was last told, so that it is told once for each change of mind. */
  private said = ''

  /** `config` as its source gave it. */
  constructor(config: ProxyConfig, modules: SearchModules) {
    this.config = config
    this.modules = modules
  }

  async look(present: UpstreamPrimary | undefined): Promise<Found> {
    const first = [...(await this.seeds()), ...[...this.known.values()].map((one) => one.address)]
    const observations = await this.observe(first)
    const choice = choosePrimary(observations, present)
    this.tell(choice, observations)
    this.remember(observations)
    const replicas = this.replicasAmong(observations)
    switch (choice.kind) {
      case 'keep':
        return { isKept: true, replicas }
      case 'none':
        return { isKept: false, replicas }
      case 'primary': {
        const { primary } = choice
        const strangers = followersOfOthers(primary, observations)
        const isOurs = (one: Address) =>
          !isSamePlace(one, primary) && !strangers.some((other) => isSamePlace(one, other))
        return { isKept: false, primary, replicas: replicas.filter(isOurs) }
      }
      default:
        return assertNever(choice)
    }
  }

  close(): void {
    for (const { probe } of this.known.values()) probe.close()
    this.known.clear()
  }

  private get isReplicated(): boolean {
    return this.config.upstream.mode === 'replication'
  }

  private observe(first: readonly Address[]): Promise<Observation[]> {
    if (this.isReplicated) return lookAround(first, (one) => this.probeOf(one).observe())
    // One that was found is a member too, and a connection takes one batch of questions at a time.
    const probes = new Set(first.map((one) => this.probeOf(one)))
    return Promise.all([...probes].map((probe) => probe.observe()))
  }

  /** The members; one whose name stands for several servers is all of them. */
  private async seeds(): Promise<readonly Address[]> {
    const { members, tls } = this.config.upstream
    const places = members.map(({ host, port }) => ({ host, port }))
    // A certificate is for the name.
    if (!this.isReplicated || (tls?.verify === true && tls.serverName === undefined)) return places
    return (await Promise.all(places.map(expanded))).flat()
  }

  private probeOf(address: Address): Probe {
    const key = formatHostPort(address)
    const before = this.known.get(key)
    if (before !== undefined) return before.probe
    const { upstream, timing } = this.config
    const { env, clock } = this.modules
    const timeoutMs = timing.connectTimeoutMs
    const probe = new Probe({ address, upstream, env, timeoutMs })
    this.known.set(key, { address, probe, aliveAtMs: clock.monotonicMs(), wasReplica: false })
    return probe
  }

  /** Forgets who is gone: it does not answer, and of those that do nobody names it. */
  private remember(observations: readonly Observation[]): void {
    const nowMs = this.modules.clock.monotonicMs()
    const isAnyThere = observations.some(({ kind }) => kind !== 'unreachable')
    for (const one of observations) {
      const known = this.known.get(formatHostPort(one))
      if (known === undefined) continue
      const isAlive = one.kind !== 'unreachable' || isNamed(one, observations) || !isAnyThere
      if (isAlive) known.aliveAtMs = nowMs
      if (one.kind !== 'unreachable') known.wasReplica = one.kind === 'replica'
    }
    for (const [key, { aliveAtMs, probe }] of this.known) {
      if (nowMs - aliveAtMs < memberForgetMs) continue
      probe.close()
      this.known.delete(key)
    }
  }

  /** Those that were replicas when they last answered: who is just not reachable from here may still serve. */
  private replicasAmong(observations: readonly Observation[]): readonly Address[] {
    const replicas = observations.filter((one) => this.known.get(formatHostPort(one))?.wasReplica)
    const answering = distinct(replicas.filter(isReplica))
    const silent = replicas.filter((one) => one.kind === 'unreachable')
    return [...answering, ...silent]
      .slice(0, membersLearntMax)
      .map(({ host, port }) => ({ host, port }))
  }

  private tell(choice: Choice, observations: readonly Observation[]): void {
    const { log } = this.modules
    const said = JSON.stringify(choice)
    if (said === this.said) return
    this.said = said
    const servers = observations.map((one) => ({
      server: formatHostPort(one),
      says: one.kind === 'unreachable' ? `unreachable: ${one.reason}` : one.kind,
    }))
    if (choice.kind === 'none') {
      log.warn({ reason: choice.reason, servers }, 'no server is the primary')
    } else if (choice.kind === 'keep') {
      log.warn({ servers }, 'the primary cannot be asked for its role and is kept')
    } else {
      log.info({ primary: formatHostPort(choice.primary), servers }, 'primary found')
    }
  }
}

/** Replicas that hear another server which says that it is a master. */
function followersOfOthers(
  primary: Address,
  observations: readonly Observation[],
): readonly Address[] {
  const masters = observations.filter(isMaster)
  const ours = masters.find((one) => isSamePlace(one, primary))?.info?.lineage
  const others = new Set(masters.flatMap(({ info }) => info?.lineage ?? []))
  if (ours !== undefined) others.delete(ours)
  const replicas = observations.filter(isReplica)
  return replicas.filter(({ info }) => info?.isLinkUp === true && others.has(info.lineage))
}

/** A name that stands for several addresses is replaced by them; any other stays, to be looked up when it is used. */
function expanded({ host, port }: Address): Promise<readonly Address[]> {
  const itself = [{ host, port }]
  if (isIP(host) !== 0 || isUnixPath(host)) return Promise.resolve(itself)
  return new Promise((resolve) => {
    lookup(host, { all: true }, (error, found) => {
      const hosts = new Set(error === null ? found.map(({ address }) => address) : [])
      const several = [...hosts].toSorted().map((one) => ({ host: one, port }))
      resolve(several.length > 1 ? several.slice(0, membersLearntMax) : itself)
    })
  })
}

/**
 * Follows the primary that the Sentinels name (`upstream.discovery: sentinel`): asks all of them, those that they name
 * too, now and then and whenever one announces something. Whom they name is the primary when it says so itself, which
 * the data path has it do at every connection.
 */
import type {
  ProxyConfig,
  Sentinel,
  UpstreamPrimary,
} from '../../../common/contract/proxy-config.ts'
import { membersLearntMax, sentinelsMax } from '../../../common/limits.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import { type Address, isSamePlace } from '../choose-primary.ts'
import type { Found, Search, SearchModules } from '../discovery.ts'
import { Probe } from '../probe.ts'
import { type Verdict, chooseBySentinels } from './choose-by-sentinels.ts'
import { SentinelLink } from './sentinel-link.ts'
import type { SentinelSays } from './sentinel-replies.ts'

export interface SentinelModules extends SearchModules {
  /** A Sentinel announced something. */
  readonly onNews: () => void
}

export class SentinelDiscovery implements Search {
  private readonly config: ProxyConfig
  private readonly sentinel: Sentinel
  private readonly modules: SentinelModules
  private readonly links = new Map<string, SentinelLink>()
  private readonly seeds: ReadonlySet<string>
  /** Of the failover that is followed: none before it counts any more. */
  private epochFloor = 0
  private replicas: readonly Address[] = []
  private said = ''

  constructor(config: ProxyConfig, sentinel: Sentinel, modules: SentinelModules) {
    this.config = config
    this.sentinel = sentinel
    this.modules = modules
    for (const address of sentinel.members) this.add(address)
    this.seeds = new Set(this.links.keys())
  }

  async look(present: UpstreamPrimary | undefined): Promise<Found> {
    const links = [...this.links.values()]
    const answers = await Promise.all(links.map((link) => link.ask()))
    const said = distinctById(answers.filter((one) => one !== undefined))
    this.learnSentinels(said)
    const verdict = chooseBySentinels(said, this.sentinelCount(), this.epochFloor)
    const isFollowed = verdict !== undefined && (await this.isCredible(verdict, present))
    this.tell(isFollowed ? verdict : undefined, present)
    if (!isFollowed) {
      const { replicas } = this
      return { isKept: true, replicas: replicas.filter((one) => !isAt(one, present)) }
    }
    this.epochFloor = verdict.configEpoch
    this.replicas = replicasFor(verdict, said)
    const { replicas } = this
    if (isAt(verdict.primary, present)) return { isKept: true, replicas }
    const { host, port } = verdict.primary
    return { isKept: false, primary: { host, port }, replicas }
  }

  close(): void {
    for (const link of this.links.values()) link.close()
    this.links.clear()
  }

  /** Why Sentinels could not be asked, or what they do not know. */
  failures(): readonly string[] {
    return [...this.links].flatMap(([address, { failure }]) =>
      failure === undefined ? [] : `Sentinel ${address}: ${failure}`,
    )
  }

  /** What a majority says is tried; fewer are followed only to a primary that says so, from one that does not. */
  private async isCredible(verdict: Verdict, present: UpstreamPrimary | undefined) {
    if (verdict.isMajority || isAt(verdict.primary, present)) return true
    if (present !== undefined && (await this.isPrimary(present))) return false
    return this.isPrimary(verdict.primary)
  }

  private async isPrimary({ host, port }: Address): Promise<boolean> {
    const { upstream, timing } = this.config
    const { env } = this.modules
    const timeoutMs = timing.connectTimeoutMs
    const probe = new Probe({ address: { host, port }, upstream, env, timeoutMs })
    try {
      return (await probe.observe()).kind === 'master'
    } finally {
      probe.close()
    }
  }

  private add(address: Address): void {
    const key = formatHostPort(address)
    if (this.links.has(key)) return
    const { credentials, tls, name } = this.sentinel
    const { env, onNews } = this.modules
    const upstream = { ...(credentials && { credentials }), ...(tls && { tls }) }
    const timeoutMs = this.config.timing.connectTimeoutMs
    const { host, port } = address
    const options = { address: { host, port }, upstream, env, timeoutMs, name, onNews }
    this.links.set(key, new SentinelLink(options))
  }

  private learnSentinels(said: readonly SentinelSays[]): void {
    for (const { sentinels } of said) {
      for (const one of sentinels) {
        const isKnown = [...this.links.values()].some(({ id }) => id === one.id)
        if (!isKnown && this.links.size < sentinelsMax) this.add(one)
      }
    }
    // One that was learnt and is gone makes room.
    const named = new Set(said.flatMap(({ sentinels }) => sentinels.map(formatHostPort)))
    for (const [key, link] of this.links) {
      if (this.seeds.has(key) || named.has(key) || link.failure === undefined) continue
      link.close()
      this.links.delete(key)
    }
  }

  /** All that are configured, away or not, and those that were learnt and did answer; each once. */
  private sentinelCount(): number {
    const counted = [...this.links].filter(([key, link]) => this.seeds.has(key) || link.hasAnswered)
    return new Set(counted.map(([key, { id }]) => id ?? key)).size
  }

  /** Once for each change of mind. */
  private tell(verdict: Verdict | undefined, present: UpstreamPrimary | undefined): void {
    const { log } = this.modules
    const sentinels = [...this.links].map(([address, { failure }]) => ({
      sentinel: address,
      says: failure ?? 'an answer',
    }))
    const said = JSON.stringify([verdict, verdict === undefined && sentinels])
    if (said === this.said) return
    this.said = said
    if (verdict === undefined) {
      const primary = present === undefined ? null : formatHostPort(present)
      log.warn({ primary, sentinels }, 'the Sentinels name no primary that can be followed')
    } else {
      const { primary, configEpoch } = verdict
      log.info(
        { primary: formatHostPort(primary), configEpoch, sentinels },
        'the Sentinels name a primary',
      )
    }
  }
}

function isAt(address: Address, present: Address | undefined): boolean {
  return present !== undefined && isSamePlace(address, present)
}

/** A Sentinel that was reached by two addresses is one. */
function distinctById(said: readonly SentinelSays[]): SentinelSays[] {
  const seen = new Set<string>()
  return said.filter(({ id }) => {
    if (id === undefined) return true
    if (seen.has(id)) return false
    seen.add(id)
    return true
  })
}

/** As those know them that know the primary; without those that all of them hold for down. */
function replicasFor({ primary }: Verdict, said: readonly SentinelSays[]): readonly Address[] {
  const found = new Map<string, Address>()
  for (const one of said) {
    if (!isSamePlace(one.primary, primary)) continue
    for (const { host, port, isDown } of one.replicas) {
      if (!isDown) found.set(formatHostPort({ host, port }), { host, port })
    }
  }
  found.delete(formatHostPort(primary))
  return [...found.values()].slice(0, membersLearntMax)
}

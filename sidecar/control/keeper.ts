/**
 * Keeps the configuration in force: decides what may follow it, hands it to the data path, and says so.
 * It is the only caller of `start` and `apply`. Offers are taken one after the other; after the first, a
 * configuration is in force in the turn in which it is offered.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../common/clock.ts'
import {
  type ProxyConfig,
  type UpstreamMember,
  type UpstreamPrimary,
  acceptConfig,
} from '../../common/contract/proxy-config.ts'
import { membersLearntMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import { type Overrides, applyOverrides } from '../config/index.ts'
import type { DataPlane } from '../data-plane.ts'

export type Offered =
  | { readonly kind: 'applied' }
  | { readonly kind: 'same' }
  | {
      readonly kind: 'refused'
      readonly code: 'RM_CONFIG_STALE_EPOCH' | 'RM_CONFIG_STALE_VERSION'
      readonly reason: string
    }

export interface Replacement {
  /** Found where the configuration names none. */
  readonly primary?: UpstreamPrimary
  /** Between commands, so that no client notices; else at once. */
  readonly isSwitch?: boolean
}

export interface KeeperModules {
  readonly dataPlane: DataPlane
  readonly log: Log
  readonly clock: Clock
}

export class ConfigKeeper {
  private readonly overrides: Overrides
  private readonly modules: KeeperModules
  private readonly listeners: ((config: ProxyConfig) => void)[] = []
  /** As the source gave it. */
  private base: ProxyConfig | undefined
  /** Known from an earlier run, and not necessarily in force: nothing older is obeyed. */
  private floor: ProxyConfig | undefined
  /** As the data path has it: with overrides, and the primary that discovery found. */
  private inForce: ProxyConfig | undefined
  private starting: Promise<void> | undefined
  private firstAppliedAtMs: number | undefined
  private appliedAtMs: number | undefined

  constructor(overrides: Overrides, modules: KeeperModules) {
    this.overrides = overrides
    this.modules = modules
  }

  get config(): ProxyConfig | undefined {
    return this.inForce
  }

  /** Epoch as the source counts it; discovery may have raised the one in force. */
  get givenEpoch(): number | undefined {
    return this.base?.epoch
  }

  /** Wall clock, milliseconds, when the configuration in force was applied. */
  get appliedAt(): number | undefined {
    return this.appliedAtMs
  }

  /** Milliseconds since the first configuration was applied. */
  sinceFirstMs(): number | undefined {
    if (this.firstAppliedAtMs === undefined) return undefined
    return this.modules.clock.monotonicMs() - this.firstAppliedAtMs
  }

  /** Whether `next` is newer than what is known, and so would come into force if nothing else speaks against it. */
  wouldTake(next: ProxyConfig): boolean {
    return acceptConfig(this.base ?? this.floor, next).kind === 'accept'
  }

  /** Refuses whatever is older than `stored` even before a configuration is in force. */
  remember(stored: ProxyConfig): void {
    this.floor = stored
  }

  /** Calls back after each configuration that came into force. */
  onApplied(listener: (config: ProxyConfig) => void): void {
    this.listeners.push(listener)
  }

  /**
   * Applies `next` if it is newer than what is in force. When it returns `applied`, the data path obeys it.
   * @throws SystemError RM_LISTEN_FAILED when the first one cannot be bound; another may be offered then
   * @throws ConfigError what overrides or the data path say against it; the former one stays in force
   */
  offer(next: ProxyConfig): Promise<Offered> {
    return this.take(next, {})
  }

  private async take(next: ProxyConfig, replacement: Replacement): Promise<Offered> {
    while (this.starting !== undefined) await settled(this.starting)
    const known = this.base ?? this.floor
    const acceptance = acceptConfig(known, next)
    // Two control planes, one after the other, may have drawn the same version for different contents.
    if (acceptance.kind === 'same' && isDeepStrictEqual(this.base, next)) return { kind: 'same' }
    if (acceptance.kind === 'refuse') {
      const reason = `epoch ${next.epoch} version ${next.version} is older than epoch ${known?.epoch} version ${known?.version}, which is known`
      return { ...acceptance, kind: 'refused', reason }
    }
    await this.enforce(next, replacement)
    return { kind: 'applied' }
  }

  /**
   * Applies `next` whatever its version, as someone asked for it by hand; an older epoch is still refused.
   * @throws as `offer`
   */
  async replace(next: ProxyConfig, replacement: Replacement = {}): Promise<Offered> {
    while (this.starting !== undefined) await settled(this.starting)
    const isOlderVersion = this.base?.epoch === next.epoch && this.base.version >= next.version
    if (this.base !== undefined && isOlderVersion && this.base.proxy.uid === next.proxy.uid) {
      return this.take({ ...next, version: this.base.version + 1 }, replacement)
    }
    return this.take(next, replacement)
  }

  /** Has the data path make ready for a handover that `next` will begin. @throws ConfigError RM_CONFIG_INVALID */
  async prepare(next: ProxyConfig): Promise<void> {
    while (this.starting !== undefined) await settled(this.starting)
    if (this.inForce !== undefined) await this.modules.dataPlane.prepare(this.preview(next))
  }

  /** What the data path would get if `next` came into force. @throws ConfigError RM_CONFIG_INVALID */
  preview(next: ProxyConfig): ProxyConfig {
    return applyOverrides(next, this.overrides)
  }

  /** Why `next` is too old to be obeyed, if it is. */
  staleness(next: ProxyConfig): string | undefined {
    const known = this.base ?? this.floor
    if (known?.proxy.uid !== next.proxy.uid || next.epoch >= known.epoch) return undefined
    return `epoch ${next.epoch} is older than ${known.epoch}, which is known; raise it [RM_CONFIG_STALE_EPOCH]`
  }

  /** Whether `next` leads to other servers than what is in force, or to them in another way. */
  changesBackend(next: ProxyConfig): boolean {
    if (this.base === undefined) return true
    const { upstream } = this.preview(this.base)
    return !isDeepStrictEqual(upstream, this.preview(next).upstream)
  }

  /** The servers as the source of the configuration gave them, without those that discovery found. */
  get seeds(): readonly UpstreamMember[] {
    return this.base === undefined ? [] : this.preview(this.base).upstream.members
  }

  /**
   * Goes over to the primary that discovery found, or to none, and to the replicas of now. Nothing while there is no
   * configuration or while another comes into force.
   */
  follow(primary: UpstreamPrimary | undefined, replicas: readonly Address[] = []): void {
    const current = this.inForce
    if (current === undefined || this.starting !== undefined) return
    const { primary: former, ...upstream } = current.upstream
    const isSamePrimary = isDeepStrictEqual(former, primary)
    const next: ProxyConfig = {
      ...current,
      epoch: isSamePrimary ? current.epoch : current.epoch + 1,
      version: current.version + 1,
      upstream: {
        ...upstream,
        members: membersWith(this.seeds, primary, replicas),
        ...(primary && { primary }),
      },
    }
    const obeyed = this.modules.dataPlane.apply(next)
    obeyed?.catch((err: unknown) => this.modules.log.error({ err }, 'a worker does not obey'))
    this.applied(next)
  }

  /** Takes no other offer meanwhile. */
  private async during(obeyed: Promise<void>): Promise<void> {
    this.starting = obeyed
    try {
      await obeyed
    } finally {
      this.starting = undefined
    }
  }

  private async enforce(next: ProxyConfig, replacement: Replacement): Promise<void> {
    const { primary, isSwitch = false } = replacement
    const config = this.compile(next, primary)
    if (this.inForce === undefined) {
      await this.during(this.modules.dataPlane.start(config))
    } else if (isSwitch) {
      await this.during(this.modules.dataPlane.switchTo(config))
    } else {
      const obeyed = this.modules.dataPlane.apply(config)
      if (obeyed !== undefined) await this.during(obeyed)
    }
    this.base = next
    this.applied(config)
  }

  /** What the data path gets: epochs that discovery raised never go back within a uid. */
  private compile(next: ProxyConfig, found: UpstreamPrimary | undefined): ProxyConfig {
    const config = applyOverrides(next, this.overrides)
    const current = this.inForce
    if (current === undefined || config.upstream.discovery === 'operator') return config
    if (current.proxy.uid !== config.proxy.uid) {
      return found === undefined
        ? config
        : { ...config, upstream: { ...config.upstream, primary: found } }
    }
    const isSameBackend = this.hasSameSeeds(config)
    const isKept = isSameBackend || keepsPrimary(current, config)
    const primary = found ?? (isKept ? current.upstream.primary : undefined)
    // The same servers lead to the same others, so that reads go on.
    const { members } = isSameBackend ? current.upstream : config.upstream
    return {
      ...config,
      epoch: Math.max(config.epoch, current.epoch + 1),
      version: Math.max(config.version, current.version + 1),
      upstream: { ...config.upstream, members, ...(primary && { primary }) },
    }
  }

  private hasSameSeeds({ upstream }: ProxyConfig): boolean {
    if (this.base === undefined) return false
    const before = this.preview(this.base).upstream
    return (
      before.mode === upstream.mode &&
      isDeepStrictEqual([before.members, before.sentinel], [upstream.members, upstream.sentinel])
    )
  }

  private applied(config: ProxyConfig): void {
    const { clock, log } = this.modules
    this.inForce = config
    this.firstAppliedAtMs ??= clock.monotonicMs()
    this.appliedAtMs = clock.wallMs()
    log.setLevel(config.logLevel)
    const { primary } = config.upstream
    log.info(
      {
        proxy: `${config.proxy.namespace}/${config.proxy.name}`,
        epoch: config.epoch,
        version: config.version,
        primary: primary === undefined ? null : formatHostPort(primary),
      },
      'configuration in force',
    )
    for (const listener of this.listeners) listener(config)
  }
}

interface Address {
  readonly host: string
  readonly port: number
}

const isSame = (one: Address, other: Address) => one.host === other.host && one.port === other.port

/** The servers that are configured, in their roles, and those that were found beside. */
function membersWith(
  seeds: readonly UpstreamMember[],
  primary: Address | undefined,
  replicas: readonly Address[],
): readonly UpstreamMember[] {
  const known = seeds.map((seed) => ({ ...seed, role: roleOf(seed, primary, replicas) }))
  const found = [...(primary === undefined ? [] : [primary]), ...replicas]
    .filter((one) => !seeds.some((seed) => isSame(seed, one)))
    .map(({ host, port }) => ({ host, port, role: roleOf({ host, port }, primary, replicas) }))
  return [...known, ...found].slice(0, Math.max(membersLearntMax, seeds.length))
}

function roleOf(
  member: Address,
  primary: Address | undefined,
  replicas: readonly Address[],
): UpstreamMember['role'] {
  if (primary !== undefined && isSame(member, primary)) return 'primary'
  return replicas.some((replica) => isSame(member, replica)) ? 'replica' : 'unknown'
}

function keepsPrimary(current: ProxyConfig, next: ProxyConfig): boolean {
  const { primary } = current.upstream
  return primary !== undefined && next.upstream.members.some((member) => isSame(member, primary))
}

async function settled(promise: Promise<unknown>): Promise<void> {
  try {
    await promise
  } catch {
    // The one who waits for the result itself hears of it.
  }
}

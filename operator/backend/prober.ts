/** The servers of all RedisProxies under watch, by key; and the commands that change a server's role. */
import type { Clock } from '../../common/clock.ts'
import { UpstreamError } from '../../common/errors.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import { type Observation, materialDigest } from '../controller/observation.ts'
import type { Process } from '../controller/plan/types.ts'
import { type ServerTarget, replyCodeOf } from './connection.ts'
import { MemberProbe } from './member-probe.ts'

export interface WatchedMember {
  readonly address: string
  readonly target: ServerTarget
}

/** What the controller needs of the servers; the simulator has its own. */
export interface Backend {
  /** Watches exactly these members for the key, from now on; unchanged ones keep their connection. */
  watch(key: ProxyKey, members: readonly WatchedMember[]): void
  forget(key: ProxyKey): void
  /** In the order given to `watch`. */
  observations(key: ProxyKey): readonly Observation[]
  /** Resolves when each of the members was looked at after this call. */
  probeNow(key: ProxyKey, addresses: readonly string[]): Promise<void>
  /** Makes the process `runId` a primary. @throws UpstreamError RM_PROMOTE_FAILED */
  promote(key: ProxyKey, address: string, runId: string): Promise<void>
  /**
   * Makes the process `runId` a replica of `source`, logging in there as `user` if that is given ('' : as it did before
   * any of our users). @throws UpstreamError RM_REPLICATE_FAILED
   */
  replicate(key: ProxyKey, server: Process, source: Source, user?: string): Promise<void>
  /** @throws UpstreamError RM_HANDOVER_FAILED; the target may have been promoted or not, which a look tells */
  handOver(key: ProxyKey, from: Process, handover: Handover): Promise<void>
  unpause(key: ProxyKey, server: Process): Promise<void>
  /** See `protect` of `Action`. @throws UpstreamError RM_GUARD_FAILED */
  protect(key: ProxyKey, primary: Process, users: ReplicationUsers): Promise<void>
  unprotect(key: ProxyKey, server: Process): Promise<void>
  setMinReplicas(key: ProxyKey, server: Process, count: number): Promise<void>
  /** @throws UpstreamError RM_PROMOTE_FAILED */
  clusterFailover(key: ProxyKey, server: Process): Promise<void>
  onChange(listener: (key: ProxyKey) => void): () => void
  stop(): void
}

export interface Handover {
  readonly to: Process & Source
  readonly timeoutMs: number
}

export interface ReplicationUsers {
  readonly user: string
  readonly replicas: readonly Process[]
}

export interface Source {
  readonly host: string
  readonly port: number
}

export class Prober implements Backend {
  private readonly keys = new Map<ProxyKey, Map<string, MemberProbe>>()
  private readonly digests = new WeakMap<MemberProbe, string>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly clock: Clock

  constructor(modules: { readonly clock: Clock }) {
    this.clock = modules.clock
  }

  watch(key: ProxyKey, members: readonly WatchedMember[]): void {
    const former = this.keys.get(key) ?? new Map<string, MemberProbe>()
    const next = new Map<string, MemberProbe>()
    for (const { address, target } of members) {
      const known = former.get(address)
      if (known !== undefined && isSameTarget(known.target, target)) next.set(address, known)
      else next.set(address, this.probe(key, { address, target }))
    }
    for (const probe of former.values())
      if (next.get(probe.observation.address) !== probe) probe.stop()
    this.keys.set(key, next)
  }

  forget(key: ProxyKey): void {
    for (const probe of this.keys.get(key)?.values() ?? []) probe.stop()
    this.keys.delete(key)
  }

  observations(key: ProxyKey): readonly Observation[] {
    return [...(this.keys.get(key)?.values() ?? [])].map((probe) => probe.observation)
  }

  async probeNow(key: ProxyKey, addresses: readonly string[]): Promise<void> {
    const probes = this.keys.get(key)
    await Promise.all(addresses.map(async (address) => probes?.get(address)?.probeNow()))
  }

  async promote(key: ProxyKey, address: string, runId: string): Promise<void> {
    await this.follow(key, { address, runId }, ['NO', 'ONE'], 'RM_PROMOTE_FAILED')
  }

  async replicate(key: ProxyKey, server: Process, source: Source, _user?: string): Promise<void> {
    await this.follow(key, server, [source.host, String(source.port)], 'RM_REPLICATE_FAILED')
  }

  async handOver(_key: ProxyKey, from: Process, _handover: Handover): Promise<void> {
    throw new UpstreamError('RM_HANDOVER_FAILED', `${from.address} cannot hand over`)
  }

  async unpause(key: ProxyKey, server: Process): Promise<void> {
    await this.guard(key, server, ['CLIENT', 'UNPAUSE'])
  }

  async protect(_key: ProxyKey, primary: Process, _users: ReplicationUsers): Promise<void> {
    throw new UpstreamError('RM_GUARD_FAILED', `${primary.address} cannot be protected`)
  }

  async unprotect(_key: ProxyKey, server: Process): Promise<void> {
    throw new UpstreamError('RM_GUARD_FAILED', `${server.address} cannot be told`)
  }

  async setMinReplicas(key: ProxyKey, server: Process, count: number): Promise<void> {
    await this.guard(key, server, ['CONFIG', 'SET', 'min-replicas-to-write', String(count)])
  }

  async clusterFailover(key: ProxyKey, { address, runId }: Process): Promise<void> {
    const probe = this.keys.get(key)?.get(address)
    await probe?.command(runId, 'RM_PROMOTE_FAILED', ['CLUSTER', 'FAILOVER'])
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  stop(): void {
    for (const key of this.keys.keys()) this.forget(key)
  }

  private async guard(key: ProxyKey, server: Process, parts: readonly string[]): Promise<void> {
    const probe = this.keys.get(key)?.get(server.address)
    await probe?.command(server.runId, 'RM_GUARD_FAILED', parts)
  }

  private probe(key: ProxyKey, member: WatchedMember): MemberProbe {
    const probe = new MemberProbe(member, {
      clock: this.clock,
      onObserved: (observation) => this.observed(key, probe, observation),
    })
    probe.start()
    return probe
  }

  private observed(key: ProxyKey, probe: MemberProbe, observation: Observation): void {
    const digest = materialDigest(observation)
    const former = this.digests.get(probe)
    if (digest === former) return
    this.digests.set(probe, digest)
    // What happened to one server is news about the others too: whether they still hear from it.
    if (former !== undefined) this.lookAtOthers(key, probe)
    for (const listener of this.listeners) listener(key)
  }

  private lookAtOthers(key: ProxyKey, probe: MemberProbe): void {
    if (probe.observation.state.kind !== 'down') return
    for (const other of this.keys.get(key)?.values() ?? []) {
      if (other !== probe) void other.probeNow()
    }
  }

  /** REPLICAOF, and SLAVEOF where a server is too old to know the word. */
  private async follow(
    key: ProxyKey,
    { address, runId }: { readonly address: string; readonly runId: string },
    args: readonly string[],
    code: 'RM_PROMOTE_FAILED' | 'RM_REPLICATE_FAILED',
  ): Promise<void> {
    const probe = this.keys.get(key)?.get(address)
    if (probe === undefined) throw new UpstreamError(code, `${address} is not watched`)
    try {
      await probe.command(runId, code, ['REPLICAOF', ...args])
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined
      if (replyCodeOf(cause) !== 'ERR') throw error
      await probe.command(runId, code, ['SLAVEOF', ...args])
    }
  }
}

function isSameTarget(a: ServerTarget, b: ServerTarget): boolean {
  return targetDigest(a) === targetDigest(b)
}

function targetDigest({ host, port, credentials, tls }: ServerTarget): string {
  const password = credentials?.password.reveal()
  return JSON.stringify([host, port, credentials?.username, password, tls])
}

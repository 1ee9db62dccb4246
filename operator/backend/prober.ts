/** The servers of all RedisProxies under watch, by key; and the commands that change them. */
import type { Clock } from '../../common/clock.ts'
import { type ErrorCode, UpstreamError } from '../../common/errors.ts'
import { minReplicasMaxLagSeconds } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import { type Observation, materialDigest } from '../controller/observation.ts'
import type { Process } from '../controller/plan/types.ts'
import type { Backend, Handover, ReplicationUserSpec, Source, WatchedMember } from './backend.ts'
import type { ServerTarget } from './connection.ts'
import { handOver } from './handover.ts'
import { MemberProbe } from './member-probe.ts'
import { type Peer, ReplicationUsers } from './replication-users.ts'
import { type ServerProcess, follow } from './server-process.ts'

export class Prober implements Backend {
  private readonly keys = new Map<ProxyKey, Map<string, MemberProbe>>()
  private readonly replicationUsers = new Map<ProxyKey, ReplicationUsers>()
  private readonly digests = new WeakMap<MemberProbe, string>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly clock: Clock
  private readonly log: Log | undefined

  constructor(modules: { readonly clock: Clock; readonly log?: Log }) {
    this.clock = modules.clock
    this.log = modules.log
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
    this.replicationUsers.delete(key)
  }

  observations(key: ProxyKey): readonly Observation[] {
    return [...(this.keys.get(key)?.values() ?? [])].map((probe) => probe.observation)
  }

  async probeNow(key: ProxyKey, addresses: readonly string[]): Promise<void> {
    const probes = this.keys.get(key)
    await Promise.all(addresses.map(async (address) => probes?.get(address)?.probeNow()))
  }

  async promote(key: ProxyKey, address: string, runId: string): Promise<void> {
    await follow(this.process(key, { address, runId }, 'RM_PROMOTE_FAILED'), 'nobody')
  }

  async replicate(key: ProxyKey, server: Process, source: Source): Promise<void> {
    await follow(this.process(key, server, 'RM_REPLICATE_FAILED'), source)
  }

  async handOver(key: ProxyKey, from: Process, { to, timeoutMs }: Handover): Promise<void> {
    await handOver(
      {
        from: this.process(key, from, 'RM_HANDOVER_FAILED'),
        to: this.process(key, to, 'RM_HANDOVER_FAILED'),
        source: { host: to.host, port: to.port },
        timeoutMs,
      },
      { clock: this.clock, ...(this.log && { log: this.log }) },
    )
  }

  async unpause(key: ProxyKey, server: Process): Promise<void> {
    await this.process(key, server, 'RM_GUARD_FAILED').call('CLIENT', 'UNPAUSE')
  }

  async protect(key: ProxyKey, primary: Process, users: ReplicationUserSpec): Promise<void> {
    const { user, replicas } = users
    const processes = replicas.map((replica) => this.guarded(key, replica))
    const peers = [...(this.keys.get(key)?.values() ?? [])].flatMap(({ observation }): Peer[] => {
      const { address, state, last } = observation
      if (address === primary.address) return []
      if (last === undefined) return [{}]
      const { runId, guards } = last
      const process = state.kind === 'up' ? this.guarded(key, { address, runId }) : undefined
      return [{ runId, ...(process && { process }), ...(guards && { guards }) }]
    })
    const server = this.guarded(key, primary)
    await this.users(key).protect(server, { user, replicas: processes }, peers)
  }

  async unprotect(key: ProxyKey, server: Process): Promise<void> {
    const own = this.keys.get(key)?.get(server.address)?.target.credentials
    await this.users(key).restore(this.guarded(key, server), own)
  }

  async setMinReplicas(key: ProxyKey, server: Process, count: number): Promise<void> {
    const target = this.process(key, server, 'RM_GUARD_FAILED')
    const set = (name: string, value: number) => target.call('CONFIG', 'SET', name, String(value))
    if (count > 0) await set('min-replicas-max-lag', minReplicasMaxLagSeconds)
    await set('min-replicas-to-write', count)
    this.keys.get(key)?.get(server.address)?.guardsChanged()
  }

  async clusterFailover(key: ProxyKey, server: Process): Promise<void> {
    await this.process(key, server, 'RM_PROMOTE_FAILED').call('CLUSTER', 'FAILOVER')
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  stop(): void {
    for (const key of this.keys.keys()) this.forget(key)
  }

  /** Commands to it fail with `code`. */
  private process(key: ProxyKey, { address, runId }: Process, code: ErrorCode): ServerProcess {
    const probe = this.keys.get(key)?.get(address)
    if (probe === undefined) throw new UpstreamError(code, `${address} is not watched`)
    return {
      address,
      runId,
      isRenamed: probe.target.commands?.replicaof !== undefined,
      call: (...parts) => probe.command(runId, code, parts),
    }
  }

  /** Its commands set up replication users, and fail with RM_GUARD_FAILED. */
  private guarded(key: ProxyKey, server: Process): ServerProcess {
    const probe = this.keys.get(key)?.get(server.address)
    const process = this.process(key, server, 'RM_GUARD_FAILED')
    return { ...process, call: async (...parts) => probe?.setGuard(server.runId, parts) }
  }

  private users(key: ProxyKey): ReplicationUsers {
    const known = this.replicationUsers.get(key) ?? new ReplicationUsers()
    this.replicationUsers.set(key, known)
    return known
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
}

function isSameTarget(a: ServerTarget, b: ServerTarget): boolean {
  return targetDigest(a) === targetDigest(b)
}

function targetDigest({ host, port, credentials, tls, commands, silenceMs }: ServerTarget): string {
  const password = credentials?.password.reveal()
  return JSON.stringify([host, port, credentials?.username, password, tls, commands, silenceMs])
}

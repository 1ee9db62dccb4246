/**
 * One turn for one key: observe → plan → record → publish → act. The order is the safety: nothing is sent to
 * a server that was not recorded first, and whoever finds the record can go on from it.
 */
import type { Clock } from '../../common/clock.ts'
import { type ErrorCode, TerminalError, codeOf } from '../../common/errors.ts'
import { secretCacheMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey, RedisProxy } from '../api/redis-proxy.ts'
import type { Backend } from '../backend/index.ts'
import { addressesOf, carryOut, releaseOf } from './carry-out.ts'
import { compileConfig, configDigest } from './compile.ts'
import { nextOperation, observeServers, watchedAddresses } from './observe.ts'
import { type Plan, type Snapshot, plan } from './plan/index.ts'
import type { Provider } from './provider.ts'
import type { WorkResult } from './queue.ts'
import { type ServerAccess, readAccess } from './secrets.ts'
import { changeEvents, failedStatus, needsWrite } from './status.ts'
import { newestObeyed, nextVersion } from './version.ts'

export interface ReconcileModules {
  readonly provider: Provider
  readonly backend: Backend
  readonly clock: Clock
  readonly log: Log
}

/** What is kept of a key between turns; losing it costs time, not safety. */
interface Memory {
  readonly watchedSinceMs: number
  lastStatusWriteMs: number
  published?: NonNullable<Snapshot['published']> & { readonly digest: string }
  marks: ReadonlyMap<string, number>
  /** Generation of the spec that cannot be worked on. */
  terminalGeneration?: number
  /** Where the recorded process was last met: it cannot move, while its name may be remembered wrongly. */
  met?: { readonly runId: string; readonly host: string }
  access?: { readonly value: ServerAccess; readonly atMs: number; readonly generation: number }
  /** See `releaseOf`: the record is gone by then. */
  minReplicasRunId?: string | undefined
}

const humanReasons: Readonly<Partial<Record<ErrorCode, string>>> = {
  RM_SECRET_UNREADABLE: 'SecretMissing',
  RM_CONFIG_INVALID: 'InvalidSpec',
}

const conflictRetryMs = 20
const followerRetryMs = 1000

export class Reconciler {
  private readonly modules: ReconcileModules
  private readonly memories = new Map<ProxyKey, Memory>()

  constructor(modules: ReconcileModules) {
    this.modules = modules
  }

  async reconcile(key: ProxyKey): Promise<WorkResult> {
    const { provider } = this.modules
    const proxy = provider.store.get(key)
    if (proxy === undefined || proxy.metadata.deletionTimestamp !== undefined) {
      provider.publisher.withdraw(key)
      if (provider.isLeader()) await this.release(key)
      this.forget(key)
      return {}
    }
    if (!provider.isLeader()) {
      this.forget(key)
      return { requeueAfterMs: followerRetryMs }
    }
    const memory = this.memory(key)
    if (memory.terminalGeneration === proxy.metadata.generation) return {}
    try {
      return await this.turn(key, proxy, memory)
    } catch (error) {
      if (error instanceof TerminalError) memory.terminalGeneration = proxy.metadata.generation
      await this.explain(proxy, error)
      throw error
    }
  }

  /** What only a human can mend is told in the status, not in our log alone. */
  private async explain(proxy: RedisProxy, error: unknown): Promise<void> {
    const code = codeOf(error)
    const reason = code === undefined ? undefined : humanReasons[code]
    if (reason === undefined || !(error instanceof Error)) return
    const { provider, clock, log } = this.modules
    const status = failedStatus(proxy, { reason, message: error.message, wallMs: clock.wallMs() })
    if (!needsWrite(proxy.status, status, 0)) return
    try {
      await provider.status.writeStatus(proxy, status)
    } catch (err) {
      log.warn({ err, reason }, 'status could not be written')
    }
  }

  private async turn(key: ProxyKey, proxy: RedisProxy, memory: Memory): Promise<WorkResult> {
    const access = await this.access(proxy, memory)
    const snapshot = await this.observe(key, proxy, { memory, access })
    const { clock } = this.modules
    const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
    const planned = plan(snapshot, now)
    const recorded = await this.record(proxy, planned, memory)
    if (recorded === undefined) return { requeueAfterMs: conflictRetryMs }
    memory.marks = new Map(
      planned.marks.map((mark) => [mark, memory.marks.get(mark) ?? now.monotonicMs]),
    )
    this.meet(memory, snapshot, recorded)
    memory.minReplicasRunId = recorded.status?.guards?.minReplicasRunId
    this.publish(key, recorded, { memory, access })
    this.tell(proxy, planned, recorded)
    this.hint(key, recorded, planned)
    await this.act(key, planned)
    return { requeueAfterMs: planned.requeueAfterMs }
  }

  /** Of a resource that was removed: servers get back what they had before us, as far as they answer. */
  private async release(key: ProxyKey): Promise<void> {
    const { backend, provider, log } = this.modules
    const isLeader = () => provider.isLeader()
    const { minReplicasRunId } = this.memories.get(key) ?? {}
    const actions = releaseOf(backend.observations(key), minReplicasRunId)
    await Promise.all(actions.map((action) => carryOut(key, action, { backend, isLeader, log })))
  }

  /** Of servers that are watched no more: at the next epoch their primary would keep them out. */
  private async letGo(key: ProxyKey, proxy: RedisProxy): Promise<void> {
    const { backend, provider, log } = this.modules
    const kept = watchedAddresses(proxy)
    const gone = backend.observations(key).filter(({ address }) => !kept.has(address))
    const isLeader = () => provider.isLeader()
    const actions = releaseOf(gone)
    await Promise.all(actions.map((action) => carryOut(key, action, { backend, isLeader, log })))
  }

  private forget(key: ProxyKey): void {
    this.memories.delete(key)
    this.modules.backend.forget(key)
  }

  private memory(key: ProxyKey): Memory {
    const known = this.memories.get(key)
    if (known !== undefined) return known
    const memory: Memory = {
      watchedSinceMs: this.modules.clock.monotonicMs(),
      lastStatusWriteMs: Number.NEGATIVE_INFINITY,
      marks: new Map(),
    }
    this.memories.set(key, memory)
    return memory
  }

  private async access(proxy: RedisProxy, memory: Memory): Promise<ServerAccess> {
    const now = this.modules.clock.monotonicMs()
    const { generation } = proxy.metadata
    const known = memory.access
    const isFresh = known !== undefined && now - known.atMs < secretCacheMs
    if (isFresh && known.generation === generation) return known.value
    const value = await this.readAccess(
      proxy,
      known?.generation === generation ? known.value : undefined,
    )
    memory.access = { value, atMs: now, generation }
    return value
  }

  /** A Secret that is gone does not stop a failover: what it held has been serving, and may still do. */
  private async readAccess(
    proxy: RedisProxy,
    known: ServerAccess | undefined,
  ): Promise<ServerAccess> {
    try {
      return await readAccess(proxy, this.modules.provider.secrets)
    } catch (error) {
      const isMissing = error instanceof Error && codeOf(error) === 'RM_SECRET_UNREADABLE'
      if (known === undefined || !isMissing) throw error
      return { ...known, missing: [error.message] }
    }
  }

  private async observe(
    key: ProxyKey,
    proxy: RedisProxy,
    { memory, access }: { readonly memory: Memory; readonly access: ServerAccess },
  ): Promise<Snapshot> {
    const { backend, provider } = this.modules
    if (!proxy.spec.suspend) await this.letGo(key, proxy)
    const servers = await observeServers(key, proxy, { backend, provider, access })
    const pending = provider.operations?.pending(key) ?? []
    const wanted = nextOperation(pending, proxy.status)
    return {
      proxy,
      servers,
      sidecars: provider.publisher.sidecars(key),
      expectedSidecars: provider.expectedSidecars(key),
      ...(memory.published && { published: memory.published }),
      watchedSinceMs: memory.watchedSinceMs,
      missingSecrets: access.missing,
      marks: Object.fromEntries(memory.marks),
      ...(wanted && { operation: wanted }),
    }
  }

  /** @returns the resource with its status as it is on record now; undefined if someone else wrote first */
  private async record(
    proxy: RedisProxy,
    { status }: Plan,
    memory: Memory,
  ): Promise<RedisProxy | undefined> {
    const { provider, clock } = this.modules
    const now = clock.monotonicMs()
    if (!needsWrite(proxy.status, status, now - memory.lastStatusWriteMs)) {
      return proxy
    }
    if (!provider.isLeader()) return undefined
    try {
      const written = await provider.status.writeStatus(proxy, status)
      memory.lastStatusWriteMs = now
      return written
    } catch (error) {
      if (codeOf(error) === 'RM_CONFLICT') return undefined
      throw error
    }
  }

  private meet(memory: Memory, { servers }: Snapshot, { status }: RedisProxy): void {
    const { primary } = status ?? {}
    const server = servers.find(({ address }) => address === primary?.address)
    const state = server?.observation.state
    if (server === undefined || state?.kind !== 'up') return
    if (state.facts.runId === primary?.runId) {
      memory.met = { runId: state.facts.runId, host: server.host }
    }
  }

  private publish(
    key: ProxyKey,
    proxy: RedisProxy,
    { memory, access }: { readonly memory: Memory; readonly access: ServerAccess },
  ): void {
    const { provider, clock } = this.modules
    const { met, published } = memory
    const obeyed = newestObeyed(provider.publisher.sidecars(key), proxy.status?.epoch ?? 0)
    const version = nextVersion({
      published: published?.version,
      obeyed,
      wallMs: clock.wallMs(),
    })
    const config = compileConfig({
      proxy,
      version,
      placement: provider.placement,
      secretKeys: access.secretKeys,
      qualifyHost: (host) => provider.qualifyHost?.(proxy, host) ?? host,
      zoneOf: (host) => zoneOf(provider, proxy, host),
      ...(met?.runId === proxy.status?.primary?.runId && met && { primaryHost: met.host }),
    })
    const digest = configDigest(config)
    if (published?.digest === digest && published.version >= obeyed) return
    const atMs = clock.monotonicMs()
    const { epoch } = config
    const epochAtMs = (published?.epoch === epoch ? published.epochAtMs : undefined) ?? atMs
    const { grantTtlMs } = config.upstream
    memory.published = {
      version,
      atMs,
      digest,
      epoch,
      epochAtMs,
      ...(grantTtlMs !== undefined && { grantTtlMs }),
    }
    provider.publisher.publish(key, config)
  }

  private hint(key: ProxyKey, { status }: RedisProxy, { suspectForMs }: Plan): void {
    const { publisher, operations } = this.modules.provider
    if (suspectForMs !== undefined) publisher.suspect(key, status?.epoch ?? 0, suspectForMs)
    if (status?.operation) operations?.report(key, status.operation)
  }

  /** Events of the decision itself, and those that follow from what has changed on record. */
  private tell(proxy: RedisProxy, planned: Plan, recorded: RedisProxy): void {
    const { events } = this.modules.provider
    for (const event of planned.events) events.publish(proxy, event)
    const { status = {} } = recorded
    for (const event of changeEvents(proxy.status, status)) events.publish(proxy, event)
  }

  private async act(key: ProxyKey, { actions, look }: Plan): Promise<void> {
    const { backend, provider, log } = this.modules
    // Not waited for: whoever is silent would hold up the turns that judge its silence. What changes leads to a turn.
    if (look.length > 0) void backend.probeNow(key, look)
    if (actions.length === 0) return
    const isLeader = () => provider.isLeader()
    await Promise.all(actions.map((action) => carryOut(key, action, { backend, isLeader, log })))
    await backend.probeNow(key, [...new Set(actions.flatMap(addressesOf))])
  }
}

function zoneOf(provider: Provider, proxy: RedisProxy, host: string): string | undefined {
  const place = provider.locate?.(proxy, host)
  return place?.kind === 'at' ? place.zone : undefined
}

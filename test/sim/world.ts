/**
 * A world for the real reconciler: model servers, sidecars that obey what they are sent, a resource with
 * optimistic concurrency, a clock that moves in steps, and everything that can go wrong between them. Each
 * invariant is checked where it could break and throws at once.
 */
import { acceptConfig, type ProxyConfig } from '../../common/contract/proxy-config.ts'
import { ProxyError, UpstreamError } from '../../common/errors.ts'
import { silentLog } from '../../common/log.ts'
import { parseManifests } from '../../operator/api/manifest.ts'
import type { ProxyKey, RedisProxy, RedisProxyStatus } from '../../operator/api/redis-proxy.ts'
import { keyOf } from '../../operator/api/redis-proxy.ts'
import type { Backend } from '../../operator/backend/index.ts'
import type { Observation, ProbeFailure } from '../../operator/controller/observation.ts'
import { isParked } from '../../operator/controller/observation.ts'
import { offsetIn } from '../../operator/controller/plan/members.ts'
import type { Provider, SidecarView } from '../../operator/controller/provider.ts'
import type { WorkResult } from '../../operator/controller/queue.ts'
import { Reconciler } from '../../operator/controller/reconcile.ts'
import { Random } from './random.ts'
import { ModelServer, replicate } from './servers.ts'

export const stepMs = 100

class Crash extends Error {}

interface ModelSidecar {
  readonly id: string
  config: ProxyConfig | undefined
  isCutFromController: boolean
  acked: { version: number; epoch: number } | undefined
  /** The process its open connection goes to. */
  connectedTo: string | undefined
}

export class SimWorld {
  readonly random: Random
  readonly servers: readonly ModelServer[]
  readonly sidecars: readonly ModelSidecar[]
  readonly key: ProxyKey
  /** `a>b` of directions that carry nothing: controller>server, sidecar>server, server>server. */
  readonly cuts = new Set<string>()
  nowMs = 1_000_000
  trace: string[] = []
  acked: number[] = []
  /** Acknowledged writes that every server had at some time, and someone has had ever since. */
  readonly kept = new Set<number>()
  private proxy: RedisProxy
  private published: ProxyConfig | undefined
  private nextWrite = 1
  private lastAccepted: { readonly epoch: number; readonly runId: string } | undefined
  private readonly failures = new Map<string, ProbeFailure>()
  private readonly lastFacts = new Map<string, NonNullable<ReturnType<ModelServer['facts']>>>()
  private reconciler: Reconciler
  private rival: Reconciler | undefined
  private readonly hasTwoLeaders: boolean
  private callsUntilCrash = Number.POSITIVE_INFINITY

  constructor(seed: number, { serverCount = 3, sidecarCount = 2, hasTwoLeaders = false } = {}) {
    this.random = new Random(seed)
    this.hasTwoLeaders = hasTwoLeaders
    this.servers = Array.from(
      { length: serverCount },
      (_, index) => new ModelServer(`s${index}`, 6379, this.random),
    )
    this.sidecars = Array.from({ length: sidecarCount }, (_, index) => ({
      id: `p${index}`,
      config: undefined,
      isCutFromController: false,
      acked: undefined,
      connectedTo: undefined,
    }))
    this.proxy = manifest(this.servers)
    this.key = keyOf(this.proxy)
    this.reconciler = this.makeReconciler()
  }

  get status(): RedisProxyStatus {
    return this.proxy.status ?? {}
  }

  server(address: string | undefined): ModelServer | undefined {
    return this.servers.find((server) => server.address === address)
  }

  note(line: string): void {
    this.trace.push(`${this.nowMs} ${line}`)
  }

  isCut(from: string, to: string): boolean {
    return this.cuts.has(`${from}>${to}`)
  }

  /** The controller process ends after a random number of further calls to the outside, and a new one starts. */
  crashControllerSoon(): void {
    this.callsUntilCrash = this.random.below(6)
  }

  async step(): Promise<void> {
    this.nowMs += stepMs
    this.replicateAll()
    this.observeAll()
    await this.reconcile()
    this.deliver()
    for (const sidecar of this.sidecars) this.write(sidecar)
    this.replicateAll()
    this.trackKept()
  }

  isSteady(): boolean {
    const { primary, phase, conditions } = this.status
    const is = (type: string) =>
      conditions?.some((condition) => condition.type === type && condition.status === 'True')
    return (
      primary !== undefined &&
      phase === 'Steady' &&
      is('Ready') === true &&
      is('ReplicationHealthy') === true &&
      is('SinglePrimary') === true
    )
  }

  private replicateAll(): void {
    for (const server of this.servers) {
      const target = server.process?.source
      const source = this.servers.find(
        (each) => each.host === target?.host && each.port === target.port,
      )
      const isCut = source !== undefined && this.isCut(server.host, source.host)
      replicate(server, { source, isCut, nowMs: this.nowMs, random: this.random })
    }
  }

  private observeAll(): void {
    for (const server of this.servers) this.observe(server)
  }

  private observe(server: ModelServer): Observation {
    const { address } = server
    const isCut = this.isCut('controller', server.host)
    const facts = isCut ? undefined : server.facts(this.nowMs)
    if (facts !== undefined) {
      this.failures.delete(address)
      this.lastFacts.set(address, facts)
      return { address, atMs: this.nowMs, state: { kind: 'up', facts }, last: facts }
    }
    const former = this.failures.get(address)
    const failure: ProbeFailure = {
      kind: isCut ? 'timeout' : 'refused',
      sinceMs: former?.sinceMs ?? this.nowMs,
      ...((!isCut || former?.refusedSinceMs !== undefined) && {
        refusedSinceMs: former?.refusedSinceMs ?? this.nowMs,
      }),
      message: 'model',
    }
    this.failures.set(address, failure)
    const last = this.lastFacts.get(address)
    return { address, atMs: this.nowMs, state: { kind: 'down', failure }, ...(last && { last }) }
  }

  private async reconcile(): Promise<void> {
    for (let turn = 0; turn < 8; turn += 1) {
      let requeueAfterMs: number | undefined
      try {
        ;({ requeueAfterMs } = await this.turn())
        // A command to a server that ends the process is taken for one that failed.
        if (this.callsUntilCrash < 0) throw new Crash('the controller crashed')
      } catch (error) {
        if (!(error instanceof Crash)) throw error
        this.note('controller crashed')
        this.callsUntilCrash = Number.POSITIVE_INFINITY
        this.reconciler = this.makeReconciler()
        this.published = undefined
        return
      }
      if (requeueAfterMs !== 0) return
      // Between two turns the sidecars may or may not have heard of the first.
      if (this.random.chance(0.5)) this.deliver()
    }
  }

  /** Two controllers that both take themselves for the leader take their turns at once, step by step. */
  private async turn(): Promise<WorkResult> {
    if (!this.hasTwoLeaders) return this.reconciler.reconcile(this.key)
    this.rival ??= this.makeReconciler()
    const turns = [this.reconciler.reconcile(this.key), this.rival.reconcile(this.key)]
    const results = await Promise.allSettled(turns)
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      this.rival = undefined
      throw failed.reason
    }
    const kept = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    return this.random.pick(kept)
  }

  private deliver(): void {
    const { published } = this
    if (published === undefined) return
    for (const sidecar of this.sidecars) {
      if (sidecar.isCutFromController) continue
      const acceptance = acceptConfig(sidecar.config, published)
      if (acceptance.kind === 'accept') {
        sidecar.config = published
        sidecar.connectedTo = undefined
      }
      if (acceptance.kind !== 'refuse') {
        sidecar.acked = { version: published.version, epoch: published.epoch }
      }
    }
  }

  /** Connects as a sidecar does, to the recorded process in the role of a primary, and writes once. */
  private write(sidecar: ModelSidecar): void {
    const primary = sidecar.config?.upstream.primary
    if (primary === undefined || this.isCut(sidecar.id, primary.host)) return
    const server = this.server(`${primary.host}:${primary.port}`)
    const own = server?.process
    if (own === undefined) {
      sidecar.connectedTo = undefined
      return
    }
    if (own.runId !== primary.runId || own.role !== 'primary') return
    sidecar.connectedTo = own.runId
    const epoch = sidecar.config?.epoch ?? 0
    const last = this.lastAccepted
    if (last !== undefined && last.runId !== own.runId && epoch <= last.epoch) {
      throw new Error(
        `two servers took writes: ${own.runId} at epoch ${epoch} after epoch ${last.epoch}`,
      )
    }
    this.lastAccepted = { epoch, runId: own.runId }
    own.log = [...own.log, this.nextWrite]
    this.acked.push(this.nextWrite)
    this.nextWrite += 1
  }

  private trackKept(): void {
    const logs = this.servers.map((server) => server.process?.log ?? server.disk)
    const newest = this.acked.slice(-20)
    for (const write of newest) {
      if (logs.every((log) => log.includes(write))) this.kept.add(write)
    }
    const [oldest] = [...this.kept]
    if (oldest === undefined) return
    const sets = logs.map((log) => new Set(log))
    for (const write of this.kept) {
      if (!sets.some((set) => set.has(write))) this.kept.delete(write)
    }
  }

  private outside(): void {
    this.callsUntilCrash -= 1
    if (this.callsUntilCrash < 0) throw new Crash('the controller crashed')
  }

  private makeReconciler(): Reconciler {
    // Each controller may run on another machine, and their clocks do not agree.
    const skewMs = this.random.below(20_000)
    const clock = { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs + skewMs }
    return new Reconciler({
      provider: this.makeProvider(),
      backend: this.makeBackend(),
      clock,
      log: silentLog,
    })
  }

  private makeProvider(): Provider {
    return {
      store: { get: () => this.proxy, keys: () => [this.key], onChange: () => () => {} },
      status: {
        writeStatus: async (proxy, status) => {
          this.outside()
          return this.writeStatus(proxy, status)
        },
      },
      secrets: { readSecret: async () => undefined },
      events: { publish: (_proxy, event) => this.note(`event ${event.reason}: ${event.message}`) },
      publisher: {
        publish: (_key, config) => {
          this.outside()
          this.published = config
        },
        suspect: () => {},
        withdraw: () => {},
        sidecars: () => this.views(),
        onChange: () => () => {},
      },
      placement: { secretFile: () => '/none', socketPath: undefined },
      expectedSidecars: () => this.sidecars.map(({ id }) => id),
      isLeader: () => true,
    }
  }

  private views(): readonly SidecarView[] {
    return this.sidecars
      .filter(({ isCutFromController }) => !isCutFromController)
      .map(({ id, acked }) => ({ id, ...(acked && { acked }), primary: 'ok', connectedAtMs: 0 }))
  }

  private writeStatus(proxy: RedisProxy, status: RedisProxyStatus): RedisProxy {
    const { resourceVersion } = this.proxy.metadata
    if (proxy.metadata.resourceVersion !== resourceVersion) {
      throw new ProxyError('RM_CONFLICT', 'someone else wrote first')
    }
    const former = this.status
    const epoch = status.epoch ?? 0
    if (epoch < (former.epoch ?? 0)) throw new Error(`the epoch went back to ${epoch}`)
    const isOther = former.primary && status.primary?.runId !== former.primary.runId
    if (isOther && status.primary !== undefined && epoch === former.epoch) {
      throw new Error('the primary changed within an epoch')
    }
    this.proxy = {
      ...this.proxy,
      status,
      metadata: { ...this.proxy.metadata, resourceVersion: String(Number(resourceVersion) + 1) },
    }
    this.note(
      `status ${status.phase} epoch ${epoch} primary ${status.primary?.address ?? '-'} target ${status.intent?.target ?? '-'}`,
    )
    return this.proxy
  }

  private makeBackend(): Backend {
    return {
      watch: () => {},
      forget: () => {},
      observations: () => this.servers.map((server) => this.observe(server)),
      probeNow: async () => {},
      promote: async (_key, address, runId) => {
        this.outside()
        this.checkPromotion(address, runId)
        this.reach(address, runId).promote()
        this.note(`promoted ${address}`)
      },
      replicate: async (_key, { address, runId }, source) => {
        this.outside()
        this.reach(address, runId).follow(source)
        this.note(`${address} follows ${source.host}:${source.port}`)
      },
      // None of these is asked for: the model has neither guards nor planned changes.
      handOver: unasked,
      unpause: unasked,
      protect: unasked,
      unprotect: unasked,
      setMinReplicas: unasked,
      clusterFailover: unasked,
      onChange: () => () => {},
      stop: () => {},
    }
  }

  private reach(address: string, runId: string): ModelServer {
    const server = this.server(address)
    if (server?.process?.runId !== runId || this.isCut('controller', server.host)) {
      throw new UpstreamError('RM_REPLICATE_FAILED', `${address} is not at hand`)
    }
    return server
  }

  private checkPromotion(address: string, runId: string): void {
    const { intent, primary, phase } = this.status
    if (phase !== 'Promoting' || intent?.target !== address || intent.targetRunId !== runId) {
      throw new Error(`${address} is promoted without a recorded intent`)
    }
    if (primary !== undefined) throw new Error(`${address} is promoted beside a recorded primary`)
    if (intent.kind === 'Bootstrap') return
    const history = intent.fromReplId ?? ''
    const offsets = this.servers.flatMap((server) => {
      const facts = this.isCut('controller', server.host) ? undefined : server.facts(this.nowMs)
      if (facts === undefined || !isParked(facts)) return []
      return [{ server, offset: offsetIn(history, facts) ?? -1 }]
    })
    const target = offsets.find(({ server }) => server.address === address)?.offset ?? -1
    const ahead = offsets.find(({ offset }) => offset > target)
    const isFresh = target >= 0 && intent.startedAt !== undefined
    if (isFresh && ahead !== undefined) {
      throw new Error(`${address} is promoted although ${ahead.server.address} is ahead of it`)
    }
  }
}

async function unasked(): Promise<void> {
  throw new Error('the model has no such command')
}

function manifest(servers: readonly ModelServer[]): RedisProxy {
  const endpoints = servers.map(({ host, port }) => `{host: ${host}, port: ${port}}`).join(', ')
  const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: sim}
spec: {backend: {endpoints: [${endpoints}]}}
`
  const [proxy] = parseManifests(text, 'sim').proxies
  if (proxy === undefined) throw new Error('the manifest of the simulation is not one')
  return proxy
}

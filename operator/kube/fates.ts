/**
 * What became of the pods that primaries are in. Each pod that someone asks about is watched by its name, the primary's
 * alone, and remembered by its uid when another one takes its place.
 */
import type { Clock } from '../../common/clock.ts'
import { formerPodsMax, nodeLookMs, podWatchIdleMs } from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import { type ProxyKey, type RedisProxy, keyOf } from '../api/redis-proxy.ts'
import { type PodHost, podHostOf } from './addresses.ts'
import { isApiStatus } from './api-error.ts'
import type { KubeClient } from './client.ts'
import { nodePath, podsPath } from './names.ts'
import {
  type NodeObject,
  type PodRecord,
  type SeenNode,
  type ServerPod,
  fateOf,
  needsNode,
} from './pod-fate.ts'
import { type Reflector, type ReflectorSink, startReflector } from './reflector.ts'

export interface FateModules {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** False where the operator has rights in one namespace only. */
  readonly mayReadNodes: boolean
}

export interface Server {
  readonly host: string
  readonly port: number
  readonly sinceMs: number
}

interface Watched {
  readonly reflector: Reflector
  readonly history: PodHistory
  readonly askers: Set<ProxyKey>
  askedMs: number
}

interface NodeLook {
  node: SeenNode | undefined
  lookedMs: number
}

export class Fates implements Stoppable {
  private readonly modules: FateModules
  /** By `namespace/pod`. */
  private readonly watched = new Map<string, Watched>()
  private readonly nodes = new Map<string, NodeLook>()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly stopping = new AbortController()
  private mayReadNodes: boolean
  private hasToldOfNodes = false

  constructor(modules: FateModules) {
    this.modules = modules
    this.mayReadNodes = modules.mayReadNodes
  }

  /** See `Provider.fate`. Known only of pods of a StatefulSet behind a headless Service of the namespace. */
  fate(proxy: RedisProxy, { host, port, sinceMs }: Server): string | undefined {
    const pod = podHostOf(proxy.metadata.namespace, host)
    if (pod === undefined || this.stopping.signal.aborted) return undefined
    this.forgetIdle()
    const watched = this.watch(pod)
    watched.askers.add(keyOf(proxy))
    watched.askedMs = this.modules.clock.monotonicMs()
    const records = watched.history.records().filter((record) => isOf(record.pod, pod))
    const question = { port, sinceMs }
    const fate = fateOf(records, question, (name) => this.nodes.get(name)?.node)
    if (fate === undefined) {
      for (const record of records.filter(needsNode)) this.look(record.pod.spec?.nodeName, watched)
    }
    return fate
  }

  /** Calls back when something was heard of a pod or a node that may change the answer. */
  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    await Promise.all([...this.watched.values()].map(({ reflector }) => reflector.stop()))
    this.watched.clear()
  }

  private watch({ namespace, hostname }: PodHost): Watched {
    const key = `${namespace}/${hostname}`
    const known = this.watched.get(key)
    if (known !== undefined) return known
    const { client, clock, log, random } = this.modules
    const askers = new Set<ProxyKey>()
    const history = new PodHistory({ clock, onChange: () => this.tell(askers) })
    const reflector = startReflector<ServerPod>(
      {
        path: podsPath(namespace),
        fieldSelector: `metadata.name=${hostname}`,
        sink: history,
      },
      { client, log, random },
    )
    const watched = { reflector, history, askers, askedMs: clock.monotonicMs() }
    this.watched.set(key, watched)
    return watched
  }

  private tell(keys: ReadonlySet<ProxyKey>): void {
    for (const key of keys) for (const listener of this.listeners) listener(key)
  }

  private forgetIdle(): void {
    const now = this.modules.clock.monotonicMs()
    for (const [key, { askedMs, reflector }] of this.watched) {
      if (now - askedMs < podWatchIdleMs) continue
      this.watched.delete(key)
      void reflector.stop()
    }
    for (const [name, { lookedMs }] of this.nodes) {
      if (now - lookedMs >= podWatchIdleMs) this.nodes.delete(name)
    }
  }

  /** Asks for the node unless that was done a moment ago; what comes is there for the next question. */
  private look(name: string | undefined, { askers }: Watched): void {
    if (name === undefined) return
    if (!this.mayReadNodes) return this.tellOfNodes()
    const now = this.modules.clock.monotonicMs()
    const known = this.nodes.get(name)
    if (known !== undefined && now - known.lookedMs < nodeLookMs) return
    const look = { node: known?.node, lookedMs: now }
    this.nodes.set(name, look)
    void this.readNode(name).then((node) => {
      if (node === undefined) return
      look.node = node
      if (this.nodes.get(name) === look) this.tell(askers)
    })
  }

  private tellOfNodes(): void {
    if (this.hasToldOfNodes) return
    this.hasToldOfNodes = true
    const { log } = this.modules
    log.info({}, 'nodes may not be read: only what kubelets say of containers counts as an end')
  }

  /** Never rejects. */
  private async readNode(name: string): Promise<SeenNode | undefined> {
    const { client, clock, log } = this.modules
    // Before the question: the answer may be as old as it.
    const seenMs = clock.wallMs()
    try {
      const path = nodePath(name)
      const { signal } = this.stopping
      const node = await client.request<NodeObject>({ method: 'GET', path, attemptsMax: 1, signal })
      return { ...node, seenMs }
    } catch (err) {
      if (isApiStatus(err, 403)) this.mayReadNodes = false
      else log.debug({ err, node: name }, 'a node could not be read')
      return undefined
    }
  }
}

/** Pods of one name, oldest first, as they were last seen. */
export class PodHistory implements ReflectorSink<ServerPod> {
  private readonly modules: { readonly clock: Clock; readonly onChange: () => void }
  private kept: readonly PodRecord[] = []

  constructor(modules: { readonly clock: Clock; readonly onChange: () => void }) {
    this.modules = modules
  }

  records(): readonly PodRecord[] {
    return this.kept
  }

  replaceAll(pods: readonly ServerPod[]): void {
    const listed = new Set(pods.map(({ metadata }) => metadata.uid))
    for (const { pod, removed } of this.kept) {
      if (removed === undefined && !listed.has(pod.metadata.uid)) this.remove(pod)
    }
    for (const pod of pods) this.put(pod)
  }

  put(pod: ServerPod): void {
    const others = this.kept.filter((record) => record.pod.metadata.uid !== pod.metadata.uid)
    this.keep([...others, { pod }])
  }

  remove(pod: ServerPod): void {
    const removed = { wallMs: this.modules.clock.wallMs() }
    this.keep(
      this.kept.map((record) =>
        record.pod.metadata.uid === pod.metadata.uid ? { pod, removed } : record,
      ),
    )
  }

  private keep(records: readonly PodRecord[]): void {
    this.kept = records.slice(-formerPodsMax)
    this.modules.onChange()
  }
}

/** Whether the pod is the one that the Service gives this name. */
function isOf({ metadata, spec }: ServerPod, { service, hostname }: PodHost): boolean {
  return spec?.subdomain === service && (spec.hostname ?? metadata.name) === hostname
}

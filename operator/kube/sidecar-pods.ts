/**
 * The pods that carry a sidecar, and which sidecars exist: those of the pods, and those of deleted pods whose end nobody
 * told of (ghosts). The nodes of ghosts are looked at until each is known to have ended.
 */
import type { Clock } from '../../common/clock.ts'
import { nodeLookMs } from '../../common/limits.ts'
import type { Stoppable } from '../../common/lifecycle.ts'
import type { Log } from '../../common/log.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import { isApiStatus } from './api-error.ts'
import type { KubeClient } from './client.ts'
import {
  type Ghost,
  Ghosts,
  type NodeSight,
  ghostEnd,
  ghostOf,
  graceMsOf,
  uidOf,
} from './ghosts.ts'
import { nodePath } from './names.ts'
import { type PodView, objectKey } from './objects.ts'
import type { NodeObject } from './pod-fate.ts'
import { createPodStore, mayOutlive, sidecarsOf } from './pods.ts'
import type { ReflectorSink } from './reflector.ts'

export interface SidecarPodsModules {
  readonly client: Pick<KubeClient, 'request'>
  readonly clock: Clock
  readonly log: Log
  /** False where the operator has rights in one namespace only. */
  readonly mayReadNodes: boolean
}

export class SidecarPods implements ReflectorSink<PodView>, Stoppable {
  private readonly modules: SidecarPodsModules
  private readonly pods = createPodStore()
  private readonly ghosts = new Ghosts()
  private readonly listeners = new Set<(key: ProxyKey) => void>()
  private readonly stopping = new AbortController()
  private mayReadNodes: boolean
  private timer: NodeJS.Timeout | undefined
  private sweeping: Promise<void> = Promise.resolve()

  constructor(modules: SidecarPodsModules) {
    this.modules = modules
    this.mayReadNodes = modules.mayReadNodes
  }

  /** By `namespace/name`. */
  get(key: string): PodView | undefined {
    return this.pods.get(key)
  }

  /** See `Provider.expectedSidecars`. */
  expected(key: ProxyKey): readonly string[] {
    return [...sidecarsOf(key, this.pods.values()), ...this.ghosts.idsOf(key)]
  }

  /** Calls back when a ghost came or ended. */
  onChange(listener: (key: ProxyKey) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  replaceAll(pods: readonly PodView[]): void {
    const listed = new Set(pods.map(uidOf))
    const gone = [...this.pods.values()].filter((pod) => !listed.has(uidOf(pod)))
    this.pods.replaceAll(pods)
    for (const pod of pods) this.lives(pod)
    for (const pod of gone) this.mourn(pod, pod)
  }

  put(pod: PodView): void {
    const known = this.pods.get(objectKey(pod))
    this.pods.put(pod)
    this.lives(pod)
    if (known !== undefined && uidOf(known) !== uidOf(pod)) this.mourn(known, known)
  }

  remove(pod: PodView): void {
    const known = this.pods.get(objectKey(pod))
    this.pods.remove(pod)
    this.mourn(pod, known !== undefined && uidOf(known) === uidOf(pod) ? known : pod)
  }

  /** Looks at the nodes of ghosts once, which is done anyway as long as there is one. Never rejects. */
  sweep(): Promise<void> {
    this.sweeping = this.sweeping.then(() => this.lookAtNodes())
    return this.sweeping
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    clearTimeout(this.timer)
    await this.sweeping
  }

  /** `last` is the pod as it was removed, `before` as it was known: a deletion by force hides the grace it had. */
  private mourn(last: PodView, before: PodView): void {
    const { clock, log } = this.modules
    const graceMs = Math.max(graceMsOf(last), graceMsOf(before))
    const ghost = mayOutlive(last) ? ghostOf(last, graceMs, clock.monotonicMs()) : undefined
    if (ghost === undefined) return this.lives(last)
    const forgotten = this.ghosts.add(ghost)
    log.info(
      described(ghost),
      'a pod was deleted without word of its sidecar’s end, so that it counts',
    )
    if (forgotten !== undefined) {
      log.warn(
        described(forgotten),
        'too many sidecars of deleted pods: one is forgotten that may live',
      )
      this.tell(forgotten.proxy)
    }
    this.tell(ghost.proxy)
    this.wake(0)
  }

  /** There is certain word of the pod: it is there, or has ended. */
  private lives(pod: PodView): void {
    const ghost = this.ghosts.delete(uidOf(pod))
    if (ghost !== undefined) this.tell(ghost.proxy)
  }

  private tell(key: ProxyKey): void {
    for (const listener of this.listeners) listener(key)
  }

  private wake(delayMs: number): void {
    if (this.timer !== undefined || this.ghosts.size === 0 || this.stopping.signal.aborted) return
    this.timer = setTimeout(() => {
      void this.sweep().then(() => {
        this.timer = undefined
        this.wake(nodeLookMs)
      })
    }, delayMs)
  }

  private async lookAtNodes(): Promise<void> {
    for (const name of new Set(this.ghosts.values().map(({ nodeName }) => nodeName))) {
      const sight = await this.look(name)
      if (this.stopping.signal.aborted) return
      if (sight !== undefined) this.judge(name, sight)
    }
  }

  private judge(name: string, sight: NodeSight): void {
    const { log } = this.modules
    for (const ghost of this.ghosts.values()) {
      const end = ghost.nodeName === name ? ghostEnd(ghost, sight) : undefined
      if (end === undefined) continue
      this.ghosts.delete(ghost.uid)
      const fields = { ...described(ghost), reason: end.reason }
      if (end.isGuess) log.warn(fields, 'the sidecar of a deleted pod is assumed to have ended')
      else log.info(fields, 'the sidecar of a deleted pod has ended')
      this.tell(ghost.proxy)
    }
  }

  /** Never rejects; undefined if the node could not be asked for, of which nothing follows. */
  private async look(name: string): Promise<NodeSight | undefined> {
    const { client, clock, log } = this.modules
    // Before the question: the answer may be as old as it.
    const at = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
    if (!this.mayReadNodes) return { node: 'hidden', at }
    try {
      const path = nodePath(name)
      const { signal } = this.stopping
      const node = await client.request<NodeObject>({ method: 'GET', path, attemptsMax: 1, signal })
      return { node, at }
    } catch (err) {
      if (isApiStatus(err, 404)) return { node: 'absent', at }
      if (isApiStatus(err, 403)) {
        this.mayReadNodes = false
        return { node: 'hidden', at }
      }
      log.debug({ err, node: name }, 'a node could not be read')
      return undefined
    }
  }
}

function described({ id, proxy, nodeName }: Ghost) {
  return { sidecar: id, proxy, node: nodeName }
}

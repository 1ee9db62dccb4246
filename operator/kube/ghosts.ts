/**
 * Sidecars of pods that were deleted without word of their end: by force, or by a collector while their node was cut
 * off. Each counts as one that exists until it is known to have ended, for it may be writing to the primary it knew.
 *
 * Not persisted: an operator that was started after the deletion does not know of it.
 */
import { ghostBlindMs, ghostsMax, nodeClockSkewMs, nodeSilenceMaxMs } from '../../common/limits.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import { type PodView, objectKey } from './objects.ts'
import { type NodeObject, defaultGraceSeconds, outOfServiceTaint } from './pod-fate.ts'
import { proxyOf } from './pods.ts'

export interface Ghost {
  readonly uid: string
  /** No stream can have it: its pod's name may be taken by another one, whose word does not count for it. */
  readonly id: string
  readonly proxy: ProxyKey
  readonly nodeName: string
  readonly graceMs: number
  readonly removedMs: number
}

/** What was asked of a node and when; `absent`: it is gone from the API, `hidden`: it may not be read. */
export interface NodeSight {
  readonly node: NodeObject | 'absent' | 'hidden'
  readonly at: { readonly monotonicMs: number; readonly wallMs: number }
}

/** The ghost of a pod that was removed at a time of the monotonic clock; undefined if it was never any proxy's. */
export function ghostOf(pod: PodView, graceMs: number, removedMs: number): Ghost | undefined {
  const proxy = proxyOf(pod)
  const nodeName = pod.spec?.nodeName
  if (proxy === undefined || nodeName === undefined) return undefined
  const uid = uidOf(pod)
  const id = `${objectKey(pod)} (${uid.slice(0, 8)}, deleted)`
  return { uid, id, proxy, nodeName, graceMs, removedMs }
}

export function uidOf(pod: PodView): string {
  return pod.metadata.uid ?? objectKey(pod)
}

/** How long the kubelet lets the pod end: someone may have asked for longer than it says itself. */
export function graceMsOf(pod: PodView | undefined): number {
  const { deletionGracePeriodSeconds = 0 } = pod?.metadata ?? {}
  const { terminationGracePeriodSeconds = defaultGraceSeconds } = pod?.spec ?? {}
  return Math.max(deletionGracePeriodSeconds, terminationGracePeriodSeconds) * 1000
}

export interface GhostEnd {
  readonly reason: string
  /** It is only assumed. */
  readonly isGuess?: true
}

/**
 * Why the ghost has ended, or undefined. A kubelet that has been in touch for long enough since the deletion, whether
 * all the time or again, has heard of it and stopped the pod.
 */
export function ghostEnd(ghost: Ghost, { node, at }: NodeSight): GhostEnd | undefined {
  const { graceMs, nodeName } = ghost
  const goneMs = at.monotonicMs - ghost.removedMs
  if (node === 'absent' || node === 'hidden') {
    if (goneMs < ghostBlindMs + graceMs) return undefined
    const why = node === 'absent' ? 'is gone from the API' : 'may not be read'
    return { reason: `node ${nodeName} ${why}, and it was long enough ago`, isGuess: true }
  }
  if (node.spec?.taints?.some(({ key }) => key === outOfServiceTaint)) {
    return { reason: `node ${nodeName} is out of service, as its taint says` }
  }
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  const readyMs = at.wallMs - Date.parse(ready?.lastTransitionTime ?? '')
  const heardMs = nodeSilenceMaxMs + graceMs + nodeClockSkewMs
  // Where there is no time of it, no comparison holds.
  const hasHeard = ready?.status === 'True' && readyMs >= heardMs && goneMs >= heardMs
  return hasHeard ? { reason: `node ${nodeName} has been ready for long enough since` } : undefined
}

/** By the uid of the pod, oldest first. */
export class Ghosts {
  private readonly ghosts = new Map<string, Ghost>()

  get size(): number {
    return this.ghosts.size
  }

  values(): readonly Ghost[] {
    return [...this.ghosts.values()]
  }

  idsOf(key: ProxyKey): string[] {
    return this.values()
      .filter(({ proxy }) => proxy === key)
      .map(({ id }) => id)
  }

  /** @returns the oldest, if it had to be forgotten for this one */
  add(ghost: Ghost): Ghost | undefined {
    this.ghosts.set(ghost.uid, ghost)
    if (this.ghosts.size <= ghostsMax) return undefined
    const [oldest] = this.ghosts.values()
    if (oldest !== undefined) this.ghosts.delete(oldest.uid)
    return oldest
  }

  delete(uid: string): Ghost | undefined {
    const ghost = this.ghosts.get(uid)
    this.ghosts.delete(uid)
    return ghost
  }
}

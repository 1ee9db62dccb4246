/** The pods that carry a sidecar: which exist, and which RedisProxy each belongs to. */
import { type ProxyKey, injectedKey } from '../api/redis-proxy.ts'
import { proxyLabel, readInjected, sidecarName } from '../inject/layout.ts'
import { ObjectStore } from './object-store.ts'
import { type PodView, objectKey } from './objects.ts'
import { hasEndedForGood } from './pod-fate.ts'

/** Selects the pods that the injector has worked on. */
export const sidecarPodSelector = proxyLabel

export function createPodStore(): ObjectStore<PodView> {
  return new ObjectStore<PodView>(trim)
}

/** The RedisProxy whose sidecar the pod has, by what the injector wrote on it. */
export function proxyOf(pod: PodView): ProxyKey | undefined {
  const injected = readInjected(pod.metadata.annotations?.[injectedKey])
  if (injected === undefined) return undefined
  return `${pod.metadata.namespace ?? 'default'}/${injected.proxy}`
}

/**
 * Ids of the sidecars of a RedisProxy that exist: those of pods that were given a node and have not ended,
 * unless the kubelet says that the sidecar has not run yet. A pod on a node that nobody hears of counts, for its
 * sidecar may be writing; what becomes of it when the pod is deleted is the matter of `SidecarPods`.
 */
export function sidecarsOf(key: ProxyKey, pods: Iterable<PodView>): string[] {
  const ids: string[] = []
  for (const pod of pods) {
    if (proxyOf(pod) === key && hasSidecarProcess(pod)) ids.push(objectKey(pod))
  }
  return ids
}

function hasSidecarProcess(pod: PodView): boolean {
  if (hasEndedForGood(pod) || pod.spec?.nodeName === undefined) return false
  const status = pod.status?.initContainerStatuses?.find(({ name }) => name === sidecarName)
  if (status === undefined) return true
  const hasNeverRun =
    status.state?.waiting !== undefined &&
    status.lastState?.terminated === undefined &&
    (status.restartCount ?? 0) === 0
  return !hasNeverRun
}

/**
 * Whether the sidecar of a pod that is gone from the API may live. One that had not run yet may have begun since; one
 * that ended may have been started again, unless the pod was told to end.
 */
export function mayOutlive(pod: PodView): boolean {
  if (hasEndedForGood(pod) || pod.spec?.nodeName === undefined) return false
  if (pod.metadata.deletionTimestamp === undefined) return true
  const status = pod.status?.initContainerStatuses?.find(({ name }) => name === sidecarName)
  // Without a time the kubelet only lost sight of it.
  return status?.state?.terminated?.finishedAt === undefined
}

/** Keeps what is read above; a pod's spec is large and there may be thousands. */
function trim(pod: PodView): PodView {
  const { name, namespace, uid, resourceVersion } = pod.metadata
  const { deletionTimestamp, deletionGracePeriodSeconds, annotations } = pod.metadata
  const injected = annotations?.[injectedKey]
  const { nodeName, terminationGracePeriodSeconds } = pod.spec ?? {}
  const phase = pod.status?.phase
  const conditions = pod.status?.conditions?.filter(({ type }) => type === 'DisruptionTarget')
  const statuses = pod.status?.initContainerStatuses?.filter((each) => each.name === sidecarName)
  return {
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      ...(deletionGracePeriodSeconds !== undefined && { deletionGracePeriodSeconds }),
      ...(injected !== undefined && { annotations: { [injectedKey]: injected } }),
    },
    spec: {
      ...(nodeName !== undefined && { nodeName }),
      ...(terminationGracePeriodSeconds !== undefined && { terminationGracePeriodSeconds }),
    },
    status: {
      ...(phase !== undefined && { phase }),
      ...(conditions !== undefined && conditions.length > 0 && { conditions }),
      ...(statuses && { initContainerStatuses: statuses }),
    },
  }
}

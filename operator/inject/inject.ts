/** Pod and RedisProxy → JSON patch that puts the sidecar in. Pure. */
import { type RedisProxy, injectedKey } from '../api/redis-proxy.ts'
import type { Wish } from './annotations.ts'
import { proxyLabel, sidecarName, writeInjected } from './layout.ts'
import { type Container, type PatchOperation, type Pod, pointerPart } from './pod.ts'
import {
  type SidecarOptions,
  memoryWarnings,
  sidecarContainer,
  sidecarImage,
  sidecarVolumes,
  socketVolume,
} from './sidecar.ts'

export type Injection =
  | {
      readonly kind: 'patch'
      readonly patch: readonly PatchOperation[]
      readonly warnings: readonly string[]
    }
  /** The pod stays as it is. `AlreadyInjected` is no news; the others have a warning. */
  | { readonly kind: 'skip'; readonly reason: SkipReason; readonly warnings: readonly string[] }

export type SkipReason = 'AlreadyInjected' | 'HostNetwork' | 'NotLinux' | 'StaticPod' | 'NameTaken'

const mirrorAnnotation = 'kubernetes.io/config.mirror'

/** What makes a pod one that cannot have a sidecar, whatever the RedisProxy says. */
function obstacle(
  pod: Pod,
): { readonly reason: SkipReason; readonly warning?: string } | undefined {
  const { metadata, spec } = pod
  if (metadata?.annotations?.[injectedKey] !== undefined) return { reason: 'AlreadyInjected' }
  if (metadata?.annotations?.[mirrorAnnotation] !== undefined) {
    return { reason: 'StaticPod', warning: 'static pods cannot be changed' }
  }
  if (spec?.hostNetwork === true) {
    return {
      reason: 'HostNetwork',
      warning: 'pods in the host’s network share its ports with others; run the sidecar by hand',
    }
  }
  if (spec?.os?.name === 'windows') {
    return { reason: 'NotLinux', warning: 'there is no sidecar for Windows' }
  }
  if (allContainers(pod).some(({ name }) => name === sidecarName)) {
    return {
      reason: 'NameTaken',
      warning: `the pod has a container named ${sidecarName} that respmesh did not put there`,
    }
  }
  return undefined
}

export function inject(
  pod: Pod,
  proxy: RedisProxy,
  wish: Wish,
  options: SidecarOptions,
): Injection {
  const found = obstacle(pod)
  if (found !== undefined) {
    const { reason, warning } = found
    const warnings = warning === undefined ? [] : [`no sidecar: ${warning}`]
    return { kind: 'skip', reason, warnings: [...wish.warnings, ...warnings] }
  }
  const image = sidecarImage(proxy, options)
  const volumes = sidecarVolumes(proxy)
  const clash = volumeClash(pod, volumes)
  if (clash !== undefined) {
    return { kind: 'skip', reason: 'NameTaken', warnings: [...wish.warnings, clash] }
  }
  const socket = shareSocket(pod, proxy)
  return {
    kind: 'patch',
    patch: [
      ...addKey(pod.metadata?.annotations, '/metadata/annotations', {
        key: injectedKey,
        value: writeInjected({ proxy: proxy.metadata.name, image, container: sidecarName }),
      }),
      ...addKey(pod.metadata?.labels, '/metadata/labels', {
        key: proxyLabel,
        value: proxy.metadata.name,
      }),
      ...insertFirst(
        pod.spec?.initContainers,
        '/spec/initContainers',
        sidecarContainer(proxy, wish, options),
      ),
      ...append(pod.spec?.volumes, '/spec/volumes', volumes),
      ...socket.patch,
    ],
    warnings: [
      ...wish.warnings,
      ...portClashes(pod, proxy),
      ...socket.warnings,
      ...memoryWarnings(proxy, wish),
    ],
  }
}

/** Ports that another container says it uses; containers of a pod share its ports. */
function portClashes(pod: Pod, proxy: RedisProxy): string[] {
  const { port, adminPort, rawPort, tls } = proxy.spec.proxy
  const fields = new Map([
    [port, 'port'],
    [adminPort, 'adminPort'],
    ...(tls === undefined ? [] : [[tls.port, 'tls.port'] as const]),
    ...(rawPort === undefined ? [] : [[rawPort, 'rawPort'] as const]),
  ])
  return allContainers(pod).flatMap((container) =>
    (container.ports ?? []).flatMap(({ containerPort }) => {
      const field = fields.get(containerPort)
      if (field === undefined) return []
      return [
        `container ${container.name} uses port ${containerPort}, which the sidecar needs; ` +
          `set spec.proxy.${field} of RedisProxy ${proxy.metadata.name}`,
      ]
    }),
  )
}

/** Shows the socket to every container, where the RedisProxy says; read-only, which does not hinder connecting. */
function shareSocket(
  pod: Pod,
  proxy: RedisProxy,
): { readonly patch: readonly PatchOperation[]; readonly warnings: readonly string[] } {
  const { unixSocket } = proxy.spec.proxy
  if (unixSocket === undefined) return { patch: [], warnings: [] }
  const mountPath = unixSocket.directory
  const mount = { name: socketVolume, mountPath, readOnly: true }
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const placed = [
    // The sidecar has come before them.
    ...initContainers.map((container, index) => ({
      container,
      path: `/spec/initContainers/${index + 1}`,
    })),
    ...containers.map((container, index) => ({ container, path: `/spec/containers/${index}` })),
  ]
  const patch: PatchOperation[] = []
  const warnings: string[] = []
  for (const { container, path } of placed) {
    if (container.volumeMounts?.some((own) => own.mountPath === mountPath) === true) {
      warnings.push(
        `container ${container.name} has a volume of its own at ${mountPath} and does not see the socket; ` +
          `set spec.proxy.unixSocket.directory of RedisProxy ${proxy.metadata.name}`,
      )
    } else patch.push(...append(container.volumeMounts, `${path}/volumeMounts`, [mount]))
  }
  return { patch, warnings }
}

/** Two volumes of one name would have the pod refused. */
function volumeClash(pod: Pod, volumes: readonly { readonly name: string }[]): string | undefined {
  const ours = new Set(volumes.map(({ name }) => name))
  const taken = pod.spec?.volumes?.find(({ name }) => ours.has(name))
  return (
    taken && `no sidecar: the pod has a volume named ${taken.name} that respmesh did not put there`
  )
}

function allContainers(pod: Pod): Container[] {
  return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
}

function addKey(
  object: object | undefined,
  path: string,
  entry: { readonly key: string; readonly value: string },
): PatchOperation[] {
  if (object === undefined) return [{ op: 'add', path, value: { [entry.key]: entry.value } }]
  return [{ op: 'add', path: `${path}/${pointerPart(entry.key)}`, value: entry.value }]
}

function insertFirst(
  list: readonly unknown[] | undefined,
  path: string,
  value: unknown,
): PatchOperation[] {
  if (list === undefined) return [{ op: 'add', path, value: [value] }]
  return [{ op: 'add', path: `${path}/0`, value }]
}

function append(
  list: readonly unknown[] | undefined,
  path: string,
  values: readonly unknown[],
): PatchOperation[] {
  if (list === undefined) return [{ op: 'add', path, value: values }]
  return values.map((value) => ({ op: 'add', path: `${path}/-`, value }))
}

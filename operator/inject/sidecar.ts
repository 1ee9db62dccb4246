/** RedisProxy → the container and volumes of its sidecar. Pure. */
import { streamTokenAudience } from '../../common/contract/stream.ts'
import { quantityBytes } from '../api/quantity.ts'
import type { ProxySpec, RedisProxy, RedisProxySpec } from '../api/redis-proxy.ts'
import { type ResourceAnnotation, type Wish, resourceAnnotations } from './annotations.ts'
import {
  bootstrapConfigMap,
  bootstrapFile,
  caFile,
  controlPath,
  runPath,
  secretsRoot,
  socketPath,
  sidecarName,
  statePath,
  tokenFile,
} from './layout.ts'

export interface SidecarOptions {
  /** Image of the sidecar unless the RedisProxy names one: the operator's own. */
  readonly image: string
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never'
  /** Where sidecars find the configuration stream, e.g. `https://respmesh-operator.respmesh.svc:8443`. */
  readonly streamUrl: string
}

const mebibyte = 1024 * 1024
/** What one process needs so that it is not short of memory before it has a client; at rest it has two thirds of it. */
const processMebibytesMin = 96
/** For each of several processes, where nothing is said. */
const processMebibytes = 128

/** Several workers have the one beside them that started them. */
function processesOf({ workers }: ProxySpec): number {
  return workers > 1 ? workers + 1 : 1
}

function defaultResources(spec: ProxySpec): Resources {
  const count = processesOf(spec)
  const limit = count === 1 ? 192 : count * processMebibytes
  return {
    requests: { cpu: '25m', memory: `${count * 64}Mi` },
    limits: { memory: `${limit}Mi` },
  }
}

interface Resources {
  readonly requests?: Readonly<Record<string, string>>
  readonly limits?: Readonly<Record<string, string>>
}

const userId = 65532
const tokenSeconds = 3600
const adminPortName = 'respmesh-admin'

/** Holds the unix socket and nothing else. */
export const socketVolume = 'respmesh-socket'

/** Readable names, so that two Secrets cannot meet in one volume: position counts. */
const secretVolume = (index: number) => `respmesh-secret-${index}`

/** Secrets that the sidecar reads; the operator's own administration Secret is not among them. */
export function sidecarSecrets(spec: RedisProxySpec): string[] {
  const { auth, sentinel, tls } = spec.backend
  const { proxy } = spec
  const names = [
    auth?.secretRef?.name,
    tls?.caSecretRef?.name,
    tls?.clientCertSecretRef?.name,
    proxy.auth?.secretRef.name,
    proxy.tls?.secretRef.name,
    proxy.tls?.clientCaSecretRef?.name,
    proxy.admin?.auth?.secretRef.name,
    proxy.admin?.tls?.secretRef.name,
    sentinel?.auth?.secretRef.name,
    sentinel?.tls?.caSecretRef?.name,
    sentinel?.tls?.clientCertSecretRef?.name,
  ]
  return [...new Set(names.filter((name) => name !== undefined))]
}

export function sidecarImage(proxy: RedisProxy, options: SidecarOptions): string {
  return proxy.spec.proxy.image ?? options.image
}

export function sidecarContainer(proxy: RedisProxy, wish: Wish, options: SidecarOptions): object {
  const { adminPort, admin } = proxy.spec.proxy
  const scheme = admin?.tls === undefined ? {} : { scheme: 'HTTPS' }
  const probe = (path: string, rest: object) => ({
    httpGet: { path, port: adminPort, ...scheme },
    timeoutSeconds: 2,
    ...rest,
  })
  return {
    name: sidecarName,
    image: sidecarImage(proxy, options),
    ...(options.imagePullPolicy && { imagePullPolicy: options.imagePullPolicy }),
    args: ['sidecar'],
    restartPolicy: 'Always',
    env: sidecarEnv(proxy, options),
    ports: [{ name: adminPortName, containerPort: adminPort, protocol: 'TCP' }],
    resources: resourcesOf(proxy, wish),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: userId,
      runAsNonRoot: true,
      runAsUser: userId,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    // The app's containers start when this has succeeded: often at first, so that they wait little.
    startupProbe: probe('/startz', { periodSeconds: 1, failureThreshold: 120 }),
    readinessProbe: probe('/readyz', { periodSeconds: 5, failureThreshold: 3 }),
    livenessProbe: probe('/livez', { periodSeconds: 10, failureThreshold: 6 }),
    volumeMounts: [
      { name: 'respmesh-token', mountPath: `${runPath}/token`, readOnly: true },
      { name: 'respmesh-control', mountPath: controlPath, readOnly: true },
      { name: 'respmesh-state', mountPath: statePath },
      { name: socketVolume, mountPath: socketPath },
      ...sidecarSecrets(proxy.spec).map((name, index) => ({
        name: secretVolume(index),
        mountPath: `${secretsRoot}/${name}`,
        readOnly: true,
      })),
    ],
  }
}

function sidecarEnv(proxy: RedisProxy, options: SidecarOptions): object[] {
  const { namespace, name } = proxy.metadata
  const field = (variable: string, fieldPath: string) => ({
    name: variable,
    valueFrom: { fieldRef: { fieldPath } },
  })
  const value = (variable: string, text: string) => ({ name: variable, value: text })
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    value('RESPMESH_ID', '$(POD_NAMESPACE)/$(POD_NAME)'),
    // Empty where the cluster does not tell pods of their nodes' places.
    field('RESPMESH_ZONE', "metadata.labels['topology.kubernetes.io/zone']"),
    value('RESPMESH_PROXY', `${namespace}/${name}`),
    value('RESPMESH_STREAM_URL', options.streamUrl),
    value('RESPMESH_STREAM_TOKEN_FILE', tokenFile),
    value('RESPMESH_STREAM_CA_FILE', caFile),
    value('RESPMESH_BOOTSTRAP_FILE', bootstrapFile),
    value('RESPMESH_STATE_DIR', statePath),
    value('RESPMESH_ADMIN', `0.0.0.0:${proxy.spec.proxy.adminPort}`),
    value('RESPMESH_LOG_LEVEL', proxy.spec.proxy.logLevel),
  ]
}

/** A sidecar that could take no client, because its container may have no more than it needs itself. */
export function memoryWarnings(proxy: RedisProxy, wish: Wish): string[] {
  const limit = resourcesOf(proxy, wish).limits?.['memory']
  const needed = processesOf(proxy.spec.proxy) * processMebibytesMin
  if (limit === undefined || quantityBytes(limit) >= needed * mebibyte) return []
  return [
    `the sidecar’s memory limit is ${limit}, and it needs ${needed}Mi or it refuses clients; ` +
      `set spec.proxy.resources of RedisProxy ${proxy.metadata.name}, or respmesh.io/memory-limit`,
  ]
}

/** What the RedisProxy says, or the default, with what the pod says on top. */
function resourcesOf(proxy: RedisProxy, wish: Wish): Resources {
  const { requests, limits } = proxy.spec.proxy.resources ?? defaultResources(proxy.spec.proxy)
  const merged: Record<'requests' | 'limits', Record<string, string>> = {
    requests: { ...requests },
    limits: { ...limits },
  }
  for (const [annotation, quantity] of Object.entries(wish.resources)) {
    const [kind, resource] = resourceAnnotations[annotation as ResourceAnnotation]
    merged[kind][resource] = quantity
  }
  return Object.fromEntries(
    Object.entries(merged).filter(([, values]) => Object.keys(values).length > 0),
  )
}

/** A volume as the API knows it; only the name is looked at here. */
export interface Volume {
  readonly name: string
  readonly [source: string]: unknown
}

export function sidecarVolumes(proxy: RedisProxy): Volume[] {
  return [
    {
      name: 'respmesh-token',
      projected: {
        sources: [
          {
            serviceAccountToken: {
              audience: streamTokenAudience,
              expirationSeconds: tokenSeconds,
              path: 'token',
            },
          },
        ],
      },
    },
    {
      name: 'respmesh-control',
      projected: {
        sources: [{ configMap: { name: bootstrapConfigMap(proxy.metadata.name), optional: true } }],
      },
    },
    { name: 'respmesh-state', emptyDir: { sizeLimit: '16Mi' } },
    // There even if no socket is asked for: one that is asked for later must not keep this sidecar from its start.
    { name: socketVolume, emptyDir: { sizeLimit: '1Mi' } },
    ...sidecarSecrets(proxy.spec).map((name, index) => ({
      name: secretVolume(index),
      // A missing Secret is reported by the sidecar; it must not keep the app from starting.
      secret: { secretName: name, optional: true },
    })),
  ]
}

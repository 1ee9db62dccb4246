/** A cluster with respmesh in it, and short ways to ask it things. Everything made here is removed by `end`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { RedisProxyOperation } from '../../../operator/api/operation.ts'
import type { RedisProxy } from '../../../operator/api/redis-proxy.ts'
import { type Cluster, startCluster, waitFor } from '../../cluster/index.ts'
import { loadImages, productImage } from './images.ts'

const root = join(import.meta.dirname, '..', '..', '..')

export const release = 'respmesh'
export const operatorNamespace = 'respmesh-system'
export const appNamespace = 'respmesh-e2e'
export const operatorName = 'respmesh-operator'
const chart = join(root, 'charts', 'respmesh')

export const example = (name: string) => join(root, 'examples', name)

export interface PodObject {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly deletionTimestamp?: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: {
    readonly initContainers?: readonly { readonly name: string; readonly restartPolicy?: string }[]
  }
  readonly status: {
    readonly phase: string
    readonly podIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses?: readonly ContainerStatus[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
  }
}

interface ContainerStatus {
  readonly name: string
  readonly restartCount: number
  readonly containerID?: string
}

/** What clusters have; a lab that forgets at once would hide what caches do. */
const dnsCacheSeconds = 30

export class World {
  readonly cluster: Cluster
  private readonly proxy: ChildProcess
  private readonly origin: string

  private constructor(cluster: Cluster, proxy: ChildProcess, origin: string) {
    this.cluster = cluster
    this.proxy = proxy
    this.origin = origin
  }

  static async begin(report: (line: string) => void): Promise<World> {
    const cluster = await startCluster({ report, dnsCacheSeconds })
    try {
      await loadImages(cluster)
      const { proxy, origin } = await startApiProxy(cluster)
      return new World(cluster, proxy, origin)
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  async end(): Promise<void> {
    this.proxy.kill()
    const quiet = async (work: Promise<unknown>) => {
      try {
        await work
      } catch {
        // It was not there, or the cluster goes with it.
      }
    }
    // Workloads first: what injects and arranges them goes last.
    await quiet(this.kubectl(`delete namespace ${appNamespace} --timeout=60s`))
    await quiet(this.helm(`uninstall ${release} -n ${operatorNamespace} --wait`))
    const crds = 'redisproxies.respmesh.io redisproxyoperations.respmesh.io'
    await quiet(this.kubectl(`delete crd ${crds} --timeout=30s`))
    await quiet(this.kubectl(`delete namespace ${operatorNamespace} --timeout=60s`))
    await this.cluster.stop()
  }

  /** `command` is cut at its spaces. */
  async kubectl(command: string): Promise<string> {
    return (await this.cluster.kubectl(command.split(' '))).stdout
  }

  /** In the namespace of the app. */
  app(command: string): Promise<string> {
    return this.kubectl(`-n ${appNamespace} ${command}`)
  }

  async helm(command: string): Promise<string> {
    return (await this.cluster.helm(command.split(' '))).stdout
  }

  /** Both under the strictest Pod Security Standard, which operator, sidecars and examples must pass. */
  async createNamespaces(): Promise<void> {
    for (const namespace of [appNamespace, operatorNamespace]) {
      await this.kubectl(`create namespace ${namespace}`)
      await this.kubectl(
        `label namespace ${namespace} pod-security.kubernetes.io/enforce=restricted`,
      )
    }
  }

  async installChart(...values: readonly string[]): Promise<void> {
    const { repository, tag } = productImage
    await this.helm(
      `upgrade --install ${release} ${chart} -n ${operatorNamespace} --create-namespace ` +
        `--set image.repository=${repository},image.tag=${tag},image.pullPolicy=IfNotPresent ` +
        values.map((value) => `--set ${value} `).join('') +
        '--wait --timeout 120s',
    )
  }

  /** Applies objects, and returns what was said on standard error: warnings. */
  async apply(objects: readonly object[], ...flags: readonly string[]): Promise<string> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects }
    const args = ['-n', appNamespace, 'apply', '-f', '-', ...flags]
    return (await this.cluster.kubectl(args, { input: JSON.stringify(list) })).stderr
  }

  async get<T>(path: string, timeoutMs?: number): Promise<T> {
    return JSON.parse(await this.text(path, timeoutMs)) as T
  }

  async text(path: string, timeoutMs = 60_000): Promise<string> {
    const response = await fetch(this.origin + path, { signal: AbortSignal.timeout(timeoutMs) })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
    return text
  }

  async post<T>(path: string): Promise<T> {
    const response = await fetch(this.origin + path, {
      method: 'POST',
      signal: AbortSignal.timeout(60_000),
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  /** What the API server itself says to an object of ours that it is asked to make, not in earnest. */
  async refusalOf(manifest: object, plural = 'redisproxies'): Promise<string> {
    const collection = `/apis/respmesh.io/v1alpha1/namespaces/${appNamespace}/${plural}`
    const response = await fetch(`${this.origin}${collection}?dryRun=All&fieldValidation=Strict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(manifest),
      signal: AbortSignal.timeout(20_000),
    })
    const body = await response.text()
    if (response.ok) return ''
    return (JSON.parse(body) as { message?: string }).message ?? body
  }

  redisProxy(name = 'cache'): Promise<RedisProxy> {
    const path = `/apis/respmesh.io/v1alpha1/namespaces/${appNamespace}/redisproxies/${name}`
    return this.get<RedisProxy>(path)
  }

  /** Name of the operator’s pod that leads, by the record. */
  async leader(): Promise<string | undefined> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases/respmesh-operator`
    return (await this.get<{ spec: { holderIdentity?: string } }>(path)).spec.holderIdentity
  }

  operation(name: string): Promise<RedisProxyOperation> {
    const path = `/apis/respmesh.io/v1alpha1/namespaces/${appNamespace}/redisproxyoperations/${name}`
    return this.get<RedisProxyOperation>(path)
  }

  /** Makes an object of a manifest, and tells how it is called. */
  async create(manifest: object): Promise<string> {
    const args = ['-n', appNamespace, 'create', '-o', 'name', '-f', '-']
    const { stdout } = await this.cluster.kubectl(args, { input: JSON.stringify(manifest) })
    return stdout.trim().split('/').at(-1) ?? ''
  }

  pod(name: string, namespace = appNamespace): Promise<PodObject> {
    return this.get<PodObject>(`/api/v1/namespaces/${namespace}/pods/${name}`)
  }

  async pods(selector: string, namespace = appNamespace): Promise<readonly PodObject[]> {
    const query = `labelSelector=${encodeURIComponent(selector)}`
    const path = `/api/v1/namespaces/${namespace}/pods?${query}`
    const { items } = await this.get<{ items: readonly PodObject[] }>(path)
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  }

  /** The one running pod of a selector, once there is one and it is ready. */
  readyPod(selector: string, namespace = appNamespace): Promise<PodObject> {
    return waitFor(
      async () => {
        const [pod, ...others] = await this.pods(selector, namespace)
        return others.length === 0 && pod !== undefined && isReady(pod) && pod
      },
      { what: `a ready pod ${selector}`, timeoutMs: 90_000 },
    )
  }

  /** Path, through the API server, of a port of a pod. */
  portOf(pod: string, port: number): string {
    return `/api/v1/namespaces/${appNamespace}/pods/${pod}:${port}/proxy`
  }
}

export function isReady(pod: PodObject): boolean {
  return (
    pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ===
    true
  )
}

export function conditionOf(proxy: RedisProxy, type: string): string | undefined {
  return proxy.status?.conditions?.find((condition) => condition.type === type)?.status
}

/** `kubectl proxy`: credentials and TLS of any cluster, behind plain HTTP on loopback. */
async function startApiProxy(
  cluster: Cluster,
): Promise<{ readonly proxy: ChildProcess; readonly origin: string }> {
  const args = ['--kubeconfig', cluster.kubeconfigPath, 'proxy', '--port=0']
  const proxy = spawn(cluster.kubectlPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface(proxy.stdout)
  const [line] = (await once(lines, 'line', { signal: AbortSignal.timeout(20_000) })) as [string]
  const address = /\S+:\d+$/.exec(line)?.[0]
  if (address === undefined) throw new Error(`kubectl proxy said: ${line}`)
  return { proxy, origin: `http://${address}` }
}

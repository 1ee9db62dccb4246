/** RedisProxies as the core wants them: the cache, and status writes that lose to whoever was first. */
import { ProxyError } from '../../common/errors.ts'
import type { ProxyKey, RedisProxy, RedisProxyStatus } from '../api/redis-proxy.ts'
import type { ProxyStore, StatusWriter } from '../controller/provider.ts'
import type { KubeClient } from './client.ts'
import { redisProxyPath } from './names.ts'
import { ObjectStore } from './object-store.ts'

export class ProxyCache implements ProxyStore, StatusWriter {
  readonly objects = new ObjectStore<RedisProxy>()
  private readonly client: KubeClient

  constructor(client: KubeClient) {
    this.client = client
  }

  get(key: ProxyKey): RedisProxy | undefined {
    return this.objects.get(key)
  }

  keys(): readonly ProxyKey[] {
    return this.objects.keys() as ProxyKey[]
  }

  onChange(listener: (key: ProxyKey) => void): () => void {
    return this.objects.onChange((key) => listener(key as ProxyKey))
  }

  /** From the cache, or from the API if the cache has not seen it yet. @throws ApiError RM_API */
  async find(key: ProxyKey, timeoutMs: number): Promise<RedisProxy | undefined> {
    const known = this.objects.get(key)
    if (known !== undefined) return known
    const [namespace = '', name = ''] = key.split('/')
    return this.client.find<RedisProxy>({
      method: 'GET',
      path: redisProxyPath(namespace, name),
      timeoutMs,
      attemptsMax: 1,
    })
  }

  async writeStatus(proxy: RedisProxy, status: RedisProxyStatus): Promise<RedisProxy> {
    const { namespace, name, uid, resourceVersion } = proxy.metadata
    if (resourceVersion === '') {
      throw new ProxyError('RM_CONFLICT', `${namespace}/${name} has no resourceVersion to hold to`)
    }
    const written = await this.client.request<RedisProxy>({
      method: 'PUT',
      path: `${redisProxyPath(namespace, name)}/status`,
      body: {
        apiVersion: proxy.apiVersion,
        kind: proxy.kind,
        metadata: { namespace, name, uid, resourceVersion },
        spec: proxy.spec,
        status,
      },
    })
    this.objects.put(written)
    return written
  }
}

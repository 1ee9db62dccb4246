/**
 * Who may have the configuration of a RedisProxy: pods of its namespace, shown by a token that is bound to the
 * pod and to our audience. The API server judges the token (TokenReview); its answer is believed briefly.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../common/clock.ts'
import { streamTokenAudience } from '../../common/contract/stream.ts'
import { tokenCacheMax, tokenCacheMs } from '../../common/limits.ts'
import type { ProxyKey } from '../api/redis-proxy.ts'
import type { Authentication } from '../stream/index.ts'
import type { KubeClient } from './client.ts'
import { tokenReviewsPath } from './names.ts'
import type { PodView } from './objects.ts'
import { proxyOf } from './pods.ts'

export interface TokenReviewStatus {
  readonly authenticated?: boolean
  readonly audiences?: readonly string[]
  readonly user?: {
    readonly username?: string
    readonly extra?: Readonly<Record<string, readonly string[]>>
  }
  readonly error?: string
}

/** The pod that a token proves. */
export interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** Undefined unless the token is good, for us, and bound to a pod. */
export function identityOf(status: TokenReviewStatus | undefined): PodIdentity | undefined {
  if (status?.authenticated !== true || !status.audiences?.includes(streamTokenAudience)) {
    return undefined
  }
  const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(status.user?.username ?? '')
  const namespace = account?.[1]
  const name = status.user?.extra?.['authentication.kubernetes.io/pod-name']?.[0]
  const uid = status.user?.extra?.['authentication.kubernetes.io/pod-uid']?.[0]
  if (namespace === undefined || name === undefined || uid === undefined) return undefined
  return { namespace, name, uid }
}

/**
 * Whether this pod may have the configuration. What the cache knows of the pod must agree; a pod that it does
 * not know is new, and its namespace has to do.
 */
export function judge(
  key: ProxyKey,
  identity: PodIdentity,
  pod: PodView | undefined,
): Authentication {
  const { namespace, name, uid } = identity
  if (key.split('/')[0] !== namespace) {
    return {
      ok: false,
      reason: 'forbidden',
      message: `pods of namespace ${namespace} may not have the configuration of ${key}`,
    }
  }
  const isSamePod = pod !== undefined && pod.metadata.uid === uid
  if (isSamePod && proxyOf(pod) !== key) {
    return {
      ok: false,
      reason: 'forbidden',
      message: `pod ${namespace}/${name} was injected for another RedisProxy than ${key}`,
    }
  }
  return { ok: true, sidecarId: `${namespace}/${name}` }
}

export interface TokenModules {
  readonly client: KubeClient
  readonly clock: Clock
  readonly findPod: (key: string) => PodView | undefined
}

/** What `createStreamServer` takes as `authenticate`. Rejects if the API server cannot be asked. */
export function createTokenAuthentication(
  modules: TokenModules,
): (token: string, key: ProxyKey) => Promise<Authentication> {
  const { client, clock, findPod } = modules
  const known = new Map<
    string,
    { readonly atMs: number; readonly identity: PodIdentity | undefined }
  >()

  async function identify(token: string): Promise<PodIdentity | undefined> {
    const digest = createHash('sha256').update(token).digest('base64')
    const former = known.get(digest)
    const now = clock.monotonicMs()
    if (former !== undefined && now - former.atMs < tokenCacheMs) return former.identity
    const review = await client.request<{ readonly status?: TokenReviewStatus }>({
      method: 'POST',
      path: tokenReviewsPath,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences: [streamTokenAudience] },
      },
      // It changes nothing, so it may be repeated.
      attemptsMax: 2,
    })
    const identity = identityOf(review.status)
    known.delete(digest)
    known.set(digest, { atMs: now, identity })
    const oldest = known.keys().next().value
    if (known.size > tokenCacheMax && oldest !== undefined) known.delete(oldest)
    return identity
  }

  return async (token, key) => {
    const identity = await identify(token)
    if (identity === undefined) {
      return {
        ok: false,
        reason: 'unauthenticated',
        message: `the token is not one of a pod for the audience ${streamTokenAudience}`,
      }
    }
    return judge(key, identity, findPod(`${identity.namespace}/${identity.name}`))
  }
}

/**
 * AdmissionReview in, AdmissionReview out. A pod is always allowed: what goes wrong here becomes a warning
 * that `kubectl` prints, and an Event where there is something to hang it on.
 */
import { ProxyError, codeOf } from '../../common/errors.ts'
import type { Log } from '../../common/log.ts'
import { type ProxyKey, type RedisProxy, injectKey } from '../api/redis-proxy.ts'
import type { ProxyEvent } from '../controller/provider.ts'
import { readWish } from './annotations.ts'
import { type SkipReason, inject } from './inject.ts'
import type { PatchOperation, Pod } from './pod.ts'
import type { SidecarOptions } from './sidecar.ts'

export interface AdmissionRequest {
  readonly uid: string
  readonly namespace?: string
  readonly dryRun?: boolean
  readonly object?: Pod
}

export interface AdmissionResponse {
  readonly uid: string
  readonly allowed: true
  readonly patchType?: 'JSONPatch'
  /** Base64 of the JSON patch. */
  readonly patch?: string
  readonly warnings?: readonly string[]
}

export type Outcome = 'Injected' | 'NotAsked' | 'UnknownProxy' | 'Failed' | SkipReason

/** What an Event about a pod that has no name yet can be hung on: its owner, or the pod itself. */
export interface PodSubject {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid?: string
}

export interface ReviewModules {
  /** From the cache, or the API where the cache does not know it. */
  readonly findProxy: (key: ProxyKey) => Promise<RedisProxy | undefined>
  readonly publishEvent: (subject: PodSubject, event: ProxyEvent) => void
  readonly onOutcome: (outcome: Outcome) => void
  readonly log: Log
}

interface Decision {
  readonly outcome: Outcome
  readonly patch?: readonly PatchOperation[]
  readonly warnings: readonly string[]
}

/** Never rejects. */
export async function review(
  request: AdmissionRequest,
  options: SidecarOptions,
  modules: ReviewModules,
): Promise<AdmissionResponse> {
  const decision = await decide(request, options, modules)
  modules.onOutcome(decision.outcome)
  const isNews = decision.outcome !== 'NotAsked' && decision.outcome !== 'AlreadyInjected'
  if (isNews) tell(request, decision, modules)
  const warnings = decision.warnings.map((text) => `respmesh: ${text}`.slice(0, warningLengthMax))
  return {
    uid: request.uid,
    allowed: true,
    ...(decision.patch && {
      patchType: 'JSONPatch' as const,
      patch: Buffer.from(JSON.stringify(decision.patch)).toString('base64'),
    }),
    ...(warnings.length > 0 && { warnings: warnings.slice(0, warningsMax) }),
  }
}

/** What the API server passes on of one warning, and of one answer. */
const warningLengthMax = 256
const warningsMax = 10

async function decide(
  request: AdmissionRequest,
  options: SidecarOptions,
  modules: ReviewModules,
): Promise<Decision> {
  const namespace = request.namespace ?? ''
  try {
    const pod = request.object
    if (pod === undefined) {
      throw new ProxyError('RM_WEBHOOK', 'the request carries no pod')
    }
    const wish = readWish(pod)
    if (wish.proxy === undefined) return { outcome: 'NotAsked', warnings: wish.warnings }
    const proxy = await modules.findProxy(`${namespace}/${wish.proxy}`)
    if (proxy === undefined) {
      const text =
        `no sidecar: there is no RedisProxy "${wish.proxy}" in namespace ${namespace}, which ` +
        `${injectKey} asks for; make it, then make the pod again`
      return { outcome: 'UnknownProxy', warnings: [text, ...wish.warnings] }
    }
    const injection = inject(pod, proxy, wish, options)
    if (injection.kind === 'skip') {
      return { outcome: injection.reason, warnings: injection.warnings }
    }
    return { outcome: 'Injected', patch: injection.patch, warnings: injection.warnings }
  } catch (err) {
    modules.log.error({ err, namespace }, 'a pod could not be given its sidecar')
    const code = codeOf(err) ?? 'RM_WEBHOOK'
    return { outcome: 'Failed', warnings: [`no sidecar: the injector failed (${code})`] }
  }
}

function tell(request: AdmissionRequest, decision: Decision, modules: ReviewModules): void {
  const { outcome, warnings } = decision
  const subject = subjectOf(request)
  const fields = { namespace: request.namespace, subject: subject?.name, outcome, warnings }
  if (outcome === 'Injected') modules.log.info(fields, 'sidecar injected')
  else modules.log.warn(fields, 'sidecar not injected')
  if (request.dryRun === true || subject === undefined || warnings.length === 0) return
  modules.publishEvent(subject, {
    type: 'Warning',
    reason: outcome === 'Injected' ? 'InjectionWarning' : 'InjectionSkipped',
    action: 'Inject',
    message: warnings.join('; '),
  })
}

function subjectOf(request: AdmissionRequest): PodSubject | undefined {
  const { namespace, object } = request
  const metadata = object?.metadata
  if (namespace === undefined || metadata === undefined) return undefined
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
  if (owner !== undefined) {
    const { apiVersion, kind, name, uid } = owner
    return { apiVersion, kind, namespace, name, uid }
  }
  const { name } = metadata
  return name === undefined ? undefined : { apiVersion: 'v1', kind: 'Pod', namespace, name }
}

/** The few shapes of Kubernetes objects that the operator reads; everything else of them stays unknown. */

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

export interface KubeList<T> {
  readonly metadata: {
    readonly resourceVersion?: string
    readonly continue?: string
    readonly remainingItemCount?: number
  }
  readonly items?: readonly T[]
}

/** `v1.Status`, what the API answers with when it refuses. */
export interface KubeStatus {
  readonly kind: 'Status'
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: { readonly retryAfterSeconds?: number }
}

export interface ContainerState {
  readonly waiting?: object
  readonly running?: { readonly startedAt?: string }
  readonly terminated?: { readonly finishedAt?: string; readonly exitCode?: number }
}

export interface ContainerStatus {
  readonly name: string
  readonly restartCount?: number
  readonly state?: ContainerState
  readonly lastState?: ContainerState
}

export interface PodCondition {
  readonly type: string
  readonly status: string
  readonly reason?: string
}

/** Of a pod, what tells whether its sidecar exists. */
export interface PodView extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly terminationGracePeriodSeconds?: number
  }
  readonly status?: {
    readonly phase?: string
    readonly conditions?: readonly PodCondition[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
  }
}

/** `discovery.k8s.io/v1`. */
export interface EndpointSlice extends KubeObject {
  readonly addressType?: string
  readonly endpoints?: readonly {
    readonly addresses: readonly string[]
    readonly hostname?: string
    readonly zone?: string
    readonly conditions?: { readonly terminating?: boolean }
  }[]
}

export interface SecretObject extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
  readonly type?: string
}

/** `namespace/name`, or `name` of an object outside namespaces. */
export function objectKey(object: { readonly metadata: ObjectMeta }): string {
  const { namespace, name } = object.metadata
  return namespace === undefined ? name : `${namespace}/${name}`
}

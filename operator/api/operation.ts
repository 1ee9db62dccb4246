/** Types of the `RedisProxyOperation` resource, derived from `operation-schema.ts`. */
import type { Static } from 'typebox'
import type { DeepReadonly } from '../../common/deep-readonly.ts'
import type { operationSpecSchema, operationStatusSchema } from './operation-schema.ts'

export type OperationSpec = DeepReadonly<Static<typeof operationSpecSchema>>
/** Of the resource itself; what the RedisProxy says of its last operation is `OperationStatus`. */
export type OperationResourceStatus = DeepReadonly<Static<typeof operationStatusSchema>>

export interface RedisProxyOperation {
  readonly apiVersion: 'respmesh.io/v1alpha1'
  readonly kind: 'RedisProxyOperation'
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
    readonly generation: number
    readonly resourceVersion: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
  }
  readonly spec: OperationSpec
  readonly status?: OperationResourceStatus
}

export function isFinished({ status }: RedisProxyOperation): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

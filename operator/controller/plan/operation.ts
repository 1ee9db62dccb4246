/** How it goes with what a person asked for, as the record keeps it. Pure. */
import type { Intent, OperationStatus, RedisProxyStatus } from '../../api/redis-proxy.ts'
import type { Now, Operation, Snapshot } from './types.ts'

interface Context {
  readonly snapshot: Snapshot
  readonly status: RedisProxyStatus
  readonly now: Now
}

const at = ({ wallMs }: Now) => new Date(wallMs).toISOString()

/** The operation that is to be worked on, if it is one of this kind. */
export function asked({ snapshot }: Context, kind: Operation['kind']): Operation | undefined {
  return snapshot.operation?.kind === kind ? snapshot.operation : undefined
}

export function beginOperation(
  { status, now }: Context,
  { name }: Operation,
  message: string,
): OperationStatus {
  const { operation } = status
  const startedAt = operation?.name === name ? operation.startedAt : at(now)
  return { name, phase: 'Running', message, startedAt }
}

/** One that cannot be done, or not any more. */
export function refuseOperation(
  { status, now }: Context,
  { name }: Operation,
  message: string,
): OperationStatus {
  const { operation } = status
  const startedAt = operation?.name === name ? operation.startedAt : at(now)
  return { name, phase: 'Failed', message: message.slice(0, 1024), startedAt, endedAt: at(now) }
}

/** The operation that an intent belongs to, ended; or else the last one as it was. */
export function endOperation(
  { snapshot, status, now }: Context,
  intent: Intent,
  { phase, message }: Pick<OperationStatus, 'phase' | 'message'>,
): OperationStatus | undefined {
  const { operation } = status
  // A promotion that was asked for in the middle of a failover belongs to no intent.
  const forced = snapshot.operation?.kind === 'Promote' ? snapshot.operation.name : undefined
  const name = intent.operation ?? forced
  if (name === undefined) return operation
  const startedAt = operation?.name === name ? operation.startedAt : intent.startedAt
  return { name, phase, message: message.slice(0, 1024), startedAt, endedAt: at(now) }
}

/** One that belongs to no intent, done. */
export function endNamed({ status, now }: Context, name: string, message: string): OperationStatus {
  const startedAt = status.operation?.startedAt ?? at(now)
  return { name, phase: 'Succeeded', message: message.slice(0, 1024), startedAt, endedAt: at(now) }
}

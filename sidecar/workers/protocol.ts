/**
 * What the main process and its workers tell each other. Every request is answered by `done`, in order; a client’s
 * socket goes along with `client`.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { ConfigError, type ErrorCode, ProxyError } from '../../common/errors.ts'
import type { DataPlaneView } from '../data-plane.ts'
import type { MessageLogOptions } from '../messages/options.ts'
import type { SidecarUse } from '../overload/process-use.ts'
import type { Grant } from '../switch/permit.ts'
import type { TopologyView } from '../topology/view.ts'

export type Request =
  | { readonly kind: 'start' | 'prepare' | 'apply'; readonly config: ProxyConfig }
  | { readonly kind: 'logMessages'; readonly options: MessageLogOptions }
  | { readonly kind: 'grant'; readonly grant: Grant }
  | { readonly kind: 'suspect'; readonly epoch: number; readonly forMs: number }
  | { readonly kind: 'pause' | 'resume' | 'terminateRaw' | 'hold' | 'settle' | 'endHold' | 'stop' }

export type ToWorker =
  | { readonly kind: 'request'; readonly id: number; readonly request: Request }
  | { readonly kind: 'client'; readonly listener: string }

export interface WorkerState {
  readonly view: DataPlaneView
  readonly use: SidecarUse
  readonly topology: TopologyView | undefined
}

export interface Failure {
  readonly code?: ErrorCode
  readonly message: string
}

export type ToMain =
  | { readonly kind: 'ready' }
  /** `isEvidence`: the control plane should hear of it at once. */
  | { readonly kind: 'state'; readonly state: WorkerState; readonly isEvidence?: boolean }
  | {
      readonly kind: 'done'
      readonly id: number
      readonly state: WorkerState
      readonly failure?: Failure
    }

export function errorOf({ code, message }: Failure): Error {
  if (code === undefined) return new Error(message)
  const isConfig = code.startsWith('RM_CONFIG') || code === 'RM_SECRET_UNREADABLE'
  return isConfig ? new ConfigError(code, message) : new ProxyError(code, message)
}

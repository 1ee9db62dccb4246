/** How the primary is seen, as the control plane and people are told. */
import type { PrimaryView } from '../../common/contract/stream.ts'
import type { DataPlaneView } from '../data-plane.ts'
import { machineMs } from '../switch/machine-time.ts'

export interface Evidence {
  readonly primary: PrimaryView
  /** How long ago it was heard; absent: never. */
  readonly heardMsAgo?: number
}

export interface PrimaryStatus {
  readonly state: PrimaryView
  readonly address?: string
  readonly heardMsAgo?: number
  /** Where the control plane has to allow the use of it again and again. */
  readonly grant?: { readonly isValid: boolean; readonly msLeft: number }
}

/** One that does not answer a question counts as failing before its connections do. */
export function evidenceOf({ primary, isDoubted, heardAtMs }: DataPlaneView): Evidence {
  return {
    primary: isDoubted === true && primary === 'ok' ? 'failing' : primary,
    ...(heardAtMs !== undefined && { heardMsAgo: msSince(heardAtMs) }),
  }
}

export function primaryStatus(view: DataPlaneView): PrimaryStatus {
  const { primary: state, primaryAddress, heardAtMs, grant } = view
  return {
    state,
    ...(primaryAddress !== undefined && { address: primaryAddress }),
    ...(heardAtMs !== undefined && { heardMsAgo: msSince(heardAtMs) }),
    ...(grant && { grant: { isValid: grant.isValid, msLeft: grantMsLeft(grant) } }),
  }
}

/** How long the primary may be used without another word of the control plane. */
export function grantMsLeft(grant: NonNullable<DataPlaneView['grant']>): number {
  const { isValid, untilMs } = grant
  return isValid && untilMs !== undefined ? Math.max(0, Math.round(untilMs - machineMs())) : 0
}

function msSince(timeMs: number): number {
  return Math.max(0, Math.round(machineMs() - timeMs))
}

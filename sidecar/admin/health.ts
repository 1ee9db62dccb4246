/** What the probes answer. Pure. */
import type { PrimaryView } from '../../common/contract/stream.ts'
import { startGraceMs } from '../../common/limits.ts'

export interface HealthInput {
  /** Milliseconds since the first configuration was applied; undefined: none is in force. */
  readonly sinceConfigMs: number | undefined
  readonly isDraining: boolean
  readonly primary: PrimaryView
  /** Whether the control plane lets the primary be used at present. */
  readonly isAllowed: boolean
  /** What is waited for while no configuration is in force. */
  readonly waitingFor: string
}

export interface Health {
  readonly isOk: boolean
  readonly reason: string
}

/** Ready to take connections. Does not follow Redis: an outage there must not make every pod unready. */
export function readiness(input: HealthInput): Health {
  if (input.isDraining) return { isOk: false, reason: 'draining' }
  if (input.sinceConfigMs === undefined) {
    return { isOk: false, reason: `waiting for ${input.waitingFor}` }
  }
  return { isOk: true, reason: 'ok' }
}

/** The app may start: its first command will be served, or Redis has been away for long enough to start without. */
export function startup(input: HealthInput): Health {
  const ready = readiness(input)
  if (!ready.isOk || input.primary === 'ok') return ready
  const state = input.isAllowed ? input.primary : 'not granted by the control plane'
  if ((input.sinceConfigMs ?? 0) >= startGraceMs) {
    return { isOk: true, reason: `the primary is ${state}; started without it` }
  }
  return { isOk: false, reason: `waiting for the primary, which is ${state}` }
}

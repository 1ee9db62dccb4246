/**
 * A monotonic clock that all processes of a machine share, for times that one process tells another. It does not pass
 * while the whole machine is suspended.
 */
import type { Clock } from '../../common/clock.ts'

/** Milliseconds since the machine was started, or another start that all its processes have in common. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** The time `machine` by the clock of this process: never later than it is, however slow this runs. */
export function localMs(machine: number, clock: Clock): number {
  const nowMs = clock.monotonicMs()
  return nowMs + machine - machineMs()
}

/** The time `local` of this process’s clock by that of the machine. */
export function machineMsOf(local: number, clock: Clock): number {
  return local - clock.monotonicMs() + machineMs()
}

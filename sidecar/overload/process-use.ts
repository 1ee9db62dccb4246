/** What this process uses, and how late its event loop is. */
import type { Clock } from '../../common/clock.ts'
import { type ProcessUse, measureProcess } from '../../common/metrics.ts'
import { type LoopDelay, LoopDelayMonitor } from './loop-delay.ts'

export interface SidecarUse extends ProcessUse {
  readonly loopDelay: LoopDelay
}

export class UseMeter {
  private readonly clock: Clock
  private readonly monitor: LoopDelayMonitor

  constructor(clock: Clock) {
    this.clock = clock
    this.monitor = new LoopDelayMonitor(clock.monotonicMs())
  }

  async read(): Promise<SidecarUse> {
    const loopDelay = this.monitor.read(this.clock.monotonicMs())
    return { ...(await measureProcess()), loopDelay }
  }

  stop(): void {
    this.monitor.stop()
  }
}

/** Several processes as one: what they use adds up, and the one that is latest counts. */
export function addUses(main: SidecarUse, others: readonly SidecarUse[]): SidecarUse {
  return others.reduce(
    (sum, use) => ({
      cpuSeconds: sum.cpuSeconds + use.cpuSeconds,
      residentBytes: sum.residentBytes + use.residentBytes,
      heapUsedBytes: sum.heapUsedBytes + use.heapUsedBytes,
      startedAtSeconds: Math.min(sum.startedAtSeconds, use.startedAtSeconds),
      eventLoopLagSeconds: Math.max(sum.eventLoopLagSeconds, use.eventLoopLagSeconds),
      loopDelay: {
        p99Seconds: Math.max(sum.loopDelay.p99Seconds, use.loopDelay.p99Seconds),
        maxSeconds: Math.max(sum.loopDelay.maxSeconds, use.loopDelay.maxSeconds),
      },
    }),
    main,
  )
}

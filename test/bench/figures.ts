/** What a target, the servers behind it and this machine have done so far. */
import type { Server } from './backends.ts'
import { cpuSeconds, machineBusySeconds, ownCpuSeconds } from './process-figures.ts'
import type { Running } from './processes.ts'
import { serverCounts } from './resp-client.ts'

/** Counters that only rise; seconds of CPU, and of the clock in `atSeconds`. */
export interface Figures {
  readonly commands: number
  readonly misses: number
  readonly server: number
  readonly proxy: number
  readonly client: number
  readonly self: number
  readonly machine: number
  readonly atSeconds: number
}

export interface Measured {
  readonly backend: { readonly servers: readonly Server[] }
  readonly running?: Running
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0)

export async function figuresOf(target: Measured): Promise<Figures> {
  const { servers } = target.backend
  const counts = await Promise.all(servers.map(({ endpoint }) => serverCounts(endpoint)))
  const own = ownCpuSeconds()
  return {
    commands: sum(counts.map(({ commands }) => commands)),
    misses: sum(counts.map(({ misses }) => misses)),
    server: sum(servers.map(({ running }) => cpuSeconds(running.pid))),
    proxy: target.running === undefined ? 0 : cpuSeconds(target.running.pid),
    client: own.children,
    self: own.self,
    machine: machineBusySeconds(),
    atSeconds: performance.now() / 1000,
  }
}

/** respmesh in a lab: an operator, two sidecars, and clients that speak to the sidecar of their own node. */
import { Lab, type LabOptions, type LabServer } from '../faults/lab/index.ts'
import { type Contender, type Phases, writersPerNode } from './contender.ts'
import { Writers } from './writers.ts'

const target = { kind: 'address', host: '127.0.0.1', port: 16_379 } as const

export interface RespmeshOptions extends Partial<LabOptions> {
  readonly paceMs?: number
  /** See `WriterSettings`. */
  readonly isTimed?: boolean
}

export class Respmesh implements Contender {
  readonly name = 'respmesh'
  readonly lab: Lab
  /** One for each sidecar, on its node. */
  readonly writers: readonly Writers[]
  private operations = 0

  private constructor(lab: Lab, pace: { readonly paceMs: number; readonly isTimed: boolean }) {
    this.lab = lab
    this.writers = lab.sidecars.map(({ name }) => {
      const names = Array.from({ length: writersPerNode }, (_none, at) => `${name}-${at}`)
      return new Writers(lab.network.namespaceOf(name), { names, target, ...pace })
    })
  }

  static async start(options: RespmeshOptions): Promise<Respmesh> {
    const { paceMs = 0, isTimed = false, ...rest } = options
    const lab = await Lab.start({ servers: 3, sidecars: 2, ...rest })
    return new Respmesh(lab, { paceMs, isTimed })
  }

  get network() {
    return this.lab.network
  }

  get servers() {
    return this.lab.servers
  }

  async primary(): Promise<LabServer> {
    return this.lab.primary
  }

  async settle(): Promise<void> {
    await this.lab.connected()
    await this.lab.settled()
    await this.lab.level()
  }

  async switchOver(): Promise<void> {
    this.operations += 1
    this.lab.request({ name: `bench-${this.operations}`, kind: 'Switchover' })
  }

  async restart(server: LabServer): Promise<void> {
    await server.restart()
  }

  phases(faultMs: number): Phases | undefined {
    const since = this.lab.history().filter(({ atMs }) => atMs >= faultMs)
    const at = (...phases: readonly string[]) =>
      since.find(({ proxy }) => phases.includes(proxy.status?.phase ?? ''))?.atMs
    const begunMs = at('Fencing', 'Switching')
    const chosenMs = at('Promoting') ?? begunMs
    const named = since.find(
      ({ atMs, proxy }) => atMs > (begunMs ?? Infinity) && proxy.status?.primary !== undefined,
    )
    if (begunMs === undefined || chosenMs === undefined || named === undefined) return undefined
    return {
      detectMs: begunMs - faultMs,
      fenceMs: chosenMs - begunMs,
      promoteMs: named.atMs - chosenMs,
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.writers.map((writers) => writers.stop()))
    await this.lab.stop()
  }
}

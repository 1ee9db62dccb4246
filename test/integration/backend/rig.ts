/** Real servers, watched by a real prober; the first is the primary of the others. */
import { systemClock } from '../../../common/clock.ts'
import type { Log } from '../../../common/log.ts'
import type { ServerFacts } from '../../../operator/controller/observation.ts'
import { Prober, type ServerTarget } from '../../../operator/backend/index.ts'
import { type ServerProgram, serverPrograms } from '../../support/server-versions.ts'
import { type RedisServer, type ServerOptions, startServer, until } from '../../support/servers.ts'

export const key = 'test/test'

export interface RigOptions {
  readonly count?: number
  readonly program?: ServerProgram
  readonly password?: string
  readonly args?: readonly string[]
  /** Commands that make users on each of them. */
  readonly users?: readonly string[]
  readonly target?: Partial<ServerTarget>
}

export class Rig {
  readonly servers: readonly RedisServer[]
  prober: Prober
  private readonly target: Partial<ServerTarget>

  private constructor(servers: readonly RedisServer[], target: Partial<ServerTarget>) {
    this.servers = servers
    this.target = target
    this.prober = this.watch()
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const { count = 2, program, password, args, target = {} } = options
    const shared: ServerOptions = {
      ...(program && { program }),
      ...(password !== undefined && { password }),
      ...(args && { args }),
    }
    const first = await startServer(shared)
    const replicaOf = { host: first.host, port: first.port }
    const others = await Promise.all(
      Array.from({ length: count - 1 }, () => startServer({ ...shared, replicaOf })),
    )
    const servers = [first, ...others]
    for (const server of servers) {
      for (const user of options.users ?? []) await server.command(...user.split(' '))
    }
    const rig = new Rig(servers, target)
    await rig.inSync(0)
    return rig
  }

  /** Another prober in the place of the one there is, as after the operator was started anew. */
  startAnew(modules: { readonly log?: Log } = {}): void {
    this.prober.stop()
    this.prober = this.watch(modules)
  }

  private watch(modules: { readonly log?: Log } = {}): Prober {
    const prober = new Prober({ clock: systemClock, ...modules })
    const members = this.servers.map(({ host, port }) => {
      return { address: `${host}:${port}`, target: { host, port, ...this.target } }
    })
    prober.watch(key, members)
    return prober
  }

  async stop(): Promise<void> {
    this.prober.stop()
    await Promise.all(this.servers.map((server) => server.stop()))
  }

  at(index: number): RedisServer {
    const server = this.servers[index]
    if (server === undefined) throw new Error(`there is no server ${index}`)
    return server
  }

  facts(index: number): ServerFacts | undefined {
    const state = this.prober.observations(key)[index]?.state
    return state?.kind === 'up' ? state.facts : undefined
  }

  /** The process that was seen there last. */
  process(index: number) {
    const { host, port } = this.at(index)
    const runId = this.facts(index)?.runId
    if (runId === undefined) throw new Error(`server ${index} is not seen`)
    return { address: `${host}:${port}`, host, port, runId }
  }

  /** Looks at all of them. */
  async look(): Promise<void> {
    await this.prober.probeNow(
      key,
      this.servers.map(({ host, port }) => `${host}:${port}`),
    )
  }

  /** Waits until the prober has seen the processes that there are now. */
  async seen(): Promise<void> {
    for (const [index, server] of this.servers.entries()) {
      const runId = await server.info('run_id')
      await until(`server ${index} is seen`, () => this.facts(index)?.runId === runId)
    }
  }

  /** Waits until all others are replicas of that one and level with it. */
  async inSync(primary: number): Promise<void> {
    await this.seen()
    for (const [index, server] of this.servers.entries()) {
      if (index === primary) continue
      await until(`server ${index} is in sync`, async () => {
        const isUp = (await server.info('role')) === 'slave' && (await isLinkUp(server))
        return isUp && (await offsetOf(server)) === (await offsetOf(this.at(primary)))
      })
    }
  }
}

/** The versions that are tried: all that there are, or two that differ most. */
export async function programs(): Promise<readonly ServerProgram[]> {
  const all = await serverPrograms({ isOffline: !isFull })
  if (isFull) return all
  const [first, last] = [all[0], all.at(-1)]
  return first === undefined || last === undefined || first === last ? all : [first, last]
}

export const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'

export async function isLinkUp(server: RedisServer): Promise<boolean> {
  return (await server.command('INFO', 'replication')).includes('master_link_status:up')
}

export function offsetOf(server: RedisServer): Promise<string> {
  return server.info('master_repl_offset')
}

/** The local world as the status page and the terminal see it. */
import { consoleEventsMax } from '../../common/limits.ts'
import type { ConsoleEvent, ConsoleSource, ConsoleState } from '../console/index.ts'
import type { ProxyEvent } from '../controller/provider.ts'
import { arrangementOf } from './arrangement.ts'
import type { LocalWorld } from './world.ts'

/** Remembers the last events and tells listeners of each. */
export class EventLog {
  private readonly kept: ConsoleEvent[] = []
  private readonly listeners = new Set<(event: ConsoleEvent) => void>()
  private readonly wallMs: () => number

  constructor(modules: { readonly wallMs: () => number }) {
    this.wallMs = modules.wallMs
  }

  add({ type, reason, message }: ProxyEvent): void {
    const event = { at: new Date(this.wallMs()).toISOString(), type, reason, message }
    this.kept.push(event)
    if (this.kept.length > consoleEventsMax) this.kept.shift()
    for (const listener of this.listeners) listener(event)
  }

  events(): readonly ConsoleEvent[] {
    return this.kept
  }

  onEvent(listener: (event: ConsoleEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}

export function consoleSource(world: LocalWorld, log: EventLog): ConsoleSource {
  return {
    state: () => stateOf(world, log),
    onChange(listener) {
      const stops = [world.onChange(listener), log.onEvent(listener)]
      return () => {
        for (const stop of stops) stop()
      }
    },
    kill: (address) => world.servers?.signal(address, 'SIGKILL') ?? false,
    async startAgain(address) {
      const { servers } = world
      if (servers === undefined || !servers.addresses().includes(address)) return false
      await servers.startAgain(address)
      return true
    },
    ask: (operation) => world.provider.operations.ask(operation),
    operation: (name) => world.provider.operations.find(name),
  }
}

function stateOf(world: LocalWorld, log: EventLog): ConsoleState {
  const proxy = world.proxy()
  const status = proxy.status ?? {}
  const ready = status.conditions?.find(({ type }) => type === 'Ready')
  const [first] = world.sidecars()
  const { topology, lastFailover } = status
  return {
    name: `${proxy.metadata.namespace}/${proxy.metadata.name}`,
    ...(first && { endpoint: `127.0.0.1:${first.port}` }),
    ready: {
      status: ready?.status ?? 'Unknown',
      reason: ready?.reason ?? 'Starting',
      message: ready?.message ?? 'nothing was observed yet',
    },
    phase: status.phase ?? 'Waiting',
    epoch: status.epoch ?? 0,
    ...(topology?.primary !== undefined && { primary: topology.primary }),
    members: membersOf(world),
    sidecars: sidecarsOf(world),
    ...(lastFailover && { lastFailover }),
    events: log.events(),
    canAct: world.servers !== undefined,
    canSwitch: ['replication', 'cluster'].includes(arrangementOf(proxy.spec)),
  }
}

function membersOf(world: LocalWorld): ConsoleState['members'] {
  return (world.proxy().status?.members ?? []).map(
    ({ address, role, state, lagBytes, message }) => {
      const pid = world.servers?.pidOf(address)
      return {
        address,
        role,
        state,
        ...(lagBytes !== undefined && { lagBytes }),
        ...(message !== undefined && { message }),
        ...(pid !== undefined && { pid }),
      }
    },
  )
}

function sidecarsOf(world: LocalWorld): ConsoleState['sidecars'] {
  const views = new Map(world.sidecarViews().map((view) => [view.id, view]))
  return world.sidecars().map(({ id, port, pid }) => {
    const view = views.get(id)
    return {
      id,
      endpoint: `127.0.0.1:${port}`,
      ...(pid !== undefined && { pid }),
      isConnected: view !== undefined,
      ...(view?.acked && { epoch: view.acked.epoch }),
      ...(view && { primary: view.primary }),
    }
  })
}

/** Does the faults of a schedule to a lab, and undoes them. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Lab, type Undo, serverPort } from './lab/index.ts'
import type { Back, Fault, Schedule, Target } from './schedule.ts'

const nothing: Undo = async () => {}

/** Runs the schedule to its end; everything is undone then. */
export async function inflict(lab: Lab, schedule: Schedule): Promise<void> {
  const startedMs = performance.now()
  const supervisor = supervise(lab, schedule.durationMs)
  const running = schedule.planned.map(async ({ atMs, forMs, fault }, index) => {
    await delay(atMs)
    const undo = await begin(lab, fault, index)
    const leftMs = schedule.durationMs - (performance.now() - startedMs)
    await delay(Math.max(0, Math.min(forMs, leftMs)))
    await undo()
  })
  await Promise.all(running)
  await supervisor
  await heal(lab)
}

const supervisePollMs = 100
const restartAfterMs = 500

/** An operator that died of itself is started again, as Kubernetes would; one that was killed when its fault ends. */
async function supervise({ operator }: Lab, forMs: number): Promise<void> {
  const endMs = performance.now() + forMs
  while (performance.now() < endMs) {
    await delay(supervisePollMs)
    if (operator.isRunning || operator.wasKilled) continue
    await delay(restartAfterMs)
    if (!operator.isRunning) await operator.start()
  }
}

/** Every process runs, every packet arrives. */
async function heal(lab: Lab): Promise<void> {
  await lab.network.heal()
  lab.operator.continue()
  if (!lab.operator.isRunning) await lab.operator.start()
  else lab.operator.dieAt()
  for (const sidecar of lab.sidecars) sidecar.continue()
  for (const server of lab.servers) server.continue()
}

async function begin(lab: Lab, fault: Fault, index: number): Promise<Undo> {
  const { network } = lab
  const named = (target: Target) => nameOf(lab, target)
  switch (fault.kind) {
    case 'kill':
      return kill(lab, named(fault.at), fault.back)
    case 'stop':
      return stop(lab, named(fault.at))
    case 'unplug':
      return network.unplug(named(fault.at))
    case 'part':
      return network.part(named(fault.a), named(fault.b))
    case 'oneWay':
      return network.cut({ from: named(fault.from), to: named(fault.to) })
    case 'port':
      return network.partPort(named(fault.client), named(fault.server), serverPort)
    case 'reject':
      return network.reject(named(fault.from), named(fault.to), serverPort)
    case 'split':
      return split(lab, fault.left.map(named))
    case 'step':
      return dieAt(lab, fault.point)
    case 'switchover':
      lab.request({ name: `change-${index}`, kind: 'Switchover' })
      return nothing
    default:
      throw new Error(`no such fault: ${JSON.stringify(fault satisfies never)}`)
  }
}

/** Roles are those on record; while there is no primary, the servers count in their own order. */
function nameOf(lab: Lab, target: Target): string {
  const recorded = lab.status.primary?.address ?? lab.status.intent?.from
  const first = lab.servers.find(({ address }) => address === recorded) ?? lab.servers[0]
  if (target === 'primary') return first?.name ?? ''
  const match = /^replica-(\d+)$/.exec(target)
  if (match === null) return target
  const others = lab.servers.filter((server) => server !== first)
  return others[(Number(match[1]) - 1) % others.length]?.name ?? ''
}

async function kill(lab: Lab, name: string, back: Back): Promise<Undo> {
  const server = lab.servers.find((each) => each.name === name)
  if (server !== undefined) {
    if (!server.isRunning) return nothing
    await server.kill()
    const as = back === 'emptyPrimary' ? 'primary' : 'parked'
    return () => server.restart({ as, isEmpty: back !== 'data' })
  }
  const sidecar = lab.sidecars.find((each) => each.name === name)
  if (sidecar !== undefined) {
    if (!sidecar.isRunning) return nothing
    await sidecar.kill()
    return () => sidecar.start()
  }
  return killOperator(lab)
}

async function killOperator({ operator }: Lab): Promise<Undo> {
  if (!operator.isRunning) return nothing
  await operator.kill()
  return async () => {
    if (!operator.isRunning) await operator.start()
  }
}

/** It dies when it first comes there, even after the time of the fault. */
function dieAt({ operator }: Lab, point: string): Undo {
  if (operator.isRunning) operator.dieAt(point)
  return nothing
}

function stop(lab: Lab, name: string): Undo {
  const found = [...lab.servers, ...lab.sidecars].find((each) => each.name === name) ?? lab.operator
  found.stop()
  return async () => found.continue()
}

function split({ network, servers, sidecars }: Lab, left: readonly string[]): Promise<Undo> {
  const all = [...servers, ...sidecars].map(({ name }) => name).concat('operator')
  const right = all.filter((name) => !left.includes(name))
  return network.split(left, right)
}

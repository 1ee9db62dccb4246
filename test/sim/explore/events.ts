/** Everything that may happen next, with its weight; and its happening. */
import { deliver, forget, giveUp, stepTask } from './acts.ts'
import type { Random } from '../random.ts'
import { pickFault, restart, startOperator, startSidecar, strike } from './faults.ts'
import { renewLease } from './lease.ts'
import { carries, nodeOf, note } from './nodes.ts'
import { advance, listen, probe, watch } from './operator.ts'
import { append, dropLink, refusal, replicate, save } from './server.ts'
import {
  answer,
  arrive,
  connect,
  connectStream,
  hear,
  mayWrite,
  renew,
  report,
  send,
  settle,
} from './sidecar.ts'
import { dropLost, noteEnd, trackKept } from './truth.ts'
import type { World } from './types.ts'

export interface Event {
  readonly weight: number
  readonly name: string
  readonly run: (random: Random) => void
}

const writesMax = 3

/** In a fixed order, so that a seed names one history. */
export function eventsOf(world: World): Event[] {
  const events: Event[] = []
  const add = (weight: number, name: string, run: Event['run']) => {
    events.push({ weight, name, run })
  }
  operatorEvents(world, add)
  commandEvents(world, add)
  sidecarEvents(world, add)
  serverEvents(world, add)
  if (world.faultsLeft > 0) {
    add(2.5, 'fault', (random) => {
      const fault = pickFault(world, random)
      world.faultsLeft -= 1
      if (fault !== undefined) strike(world, fault, random)
    })
  }
  return events
}

type Add = (weight: number, name: string, run: Event['run']) => void

function operatorEvents(world: World, add: Add): void {
  for (const operator of world.operators) {
    const { index } = operator
    if (!operator.isUp) {
      add(0.8, `o${index} starts`, (random) => startOperator(world, operator, random))
      continue
    }
    if (operator.isSuspended) {
      add(0.8, `o${index} resumes`, () => {
        operator.isSuspended = false
      })
      continue
    }
    const isWaiting = operator.waitsFor.length > 0 || operator.task !== undefined
    if (!isWaiting) {
      add(operator.stage === 'idle' ? 6 : 14, `o${index} ${operator.stage}`, () =>
        advance(world, operator),
      )
    }
    add(3, `o${index} probes`, () => {
      for (const server of world.servers) probe(world, operator, server.index)
    })
    for (const server of world.servers) {
      add(0.7, `o${index} probes s${server.index}`, () => probe(world, operator, server.index))
    }
    if (operator.cache !== world.api.object) {
      add(3, `o${index} watches`, () => watch(world, operator))
    }
    if (world.operators.length > 1) {
      add(3, `o${index} renews its lease`, () => renewLease(world, operator))
    }
    if (operator.task !== undefined) {
      add(6, `o${index} ${operator.task.step}`, () => stepTask(world, operator))
      add(0.1, `o${index} gives the change up`, () => {
        operator.task = undefined
      })
    }
  }
}

function commandEvents(world: World, add: Add): void {
  for (const command of world.commands) {
    add(command.isOrphan ? 0.5 : 6, 'command', () => deliver(world, command))
    if (command.isOrphan) add(0.5, 'command lost', () => forget(world, command))
    else
      add(world.profile.hasLateCommands ? 2.5 : 0.4, 'command given up', () =>
        giveUp(world, command),
      )
  }
}

function sidecarEvents(world: World, add: Add): void {
  for (const sidecar of world.sidecars) {
    const { index, stream } = sidecar
    if (!sidecar.isUp) {
      add(0.8, `p${index} starts`, () => startSidecar(world, sidecar))
      continue
    }
    if (sidecar.isSuspended) {
      add(0.8, `p${index} resumes`, () => {
        sidecar.isSuspended = false
      })
      continue
    }
    const own = nodeOf.sidecar(world, index)
    if (stream === undefined) {
      add(4, `p${index} opens a stream`, (random) =>
        connectStream(world, sidecar, random.below(world.operators.length)),
      )
    } else {
      streamEvents(world, add, index)
      const far = nodeOf.operator(world, stream.operator)
      const isCut = !carries(world, own, far) || !carries(world, far, own)
      add(isCut ? 0.3 : world.profile.isCalm ? 0 : 0.05, `p${index} loses its stream`, () => {
        sidecar.stream = undefined
      })
    }
    const { config, connection } = sidecar
    if (config?.grantTtlMs !== undefined && config.runId !== undefined) {
      add(3, `p${index} renews`, () => renew(world, sidecar))
    }
    add(0.7, `p${index} reports`, () => report(world, sidecar))
    if (connection === undefined && config?.runId !== undefined) {
      add(4, `p${index} connects`, () => connect(world, sidecar))
    }
    if (connection !== undefined) {
      add(sidecar.drainUntilMs === undefined ? 0.5 : 4, `p${index} looks at its clock`, () =>
        settle(world, sidecar),
      )
      const isBroken =
        !carries(world, own, connection.server) || !carries(world, connection.server, own)
      add(
        isBroken ? 0.3 : world.profile.isCalm ? 0 : 0.02,
        `p${index} loses its connection`,
        () => {
          sidecar.connection = undefined
          sidecar.isFailing = true
        },
      )
    }
    const own3 = world.writes.filter((write) => write.sidecar === index).length
    if (own3 < writesMax && mayWrite(world, sidecar)) {
      add(4, `p${index} sends`, () => {
        settle(world, sidecar)
        send(world, sidecar)
      })
    }
  }
  for (const write of world.writes) {
    if (write.offset === undefined) add(5, `w${write.id} arrives`, () => arrive(world, write))
    else add(5, `w${write.id} is answered`, () => answer(world, write))
  }
}

function streamEvents(world: World, add: Add, index: number): void {
  const sidecar = world.sidecars[index]
  const { stream } = sidecar ?? {}
  const operator = world.operators[stream?.operator ?? -1]
  if (sidecar === undefined || stream === undefined || operator === undefined) return
  const own = nodeOf.sidecar(world, index)
  const other = nodeOf.operator(world, operator.index)
  if (stream.down.length > 0 && carries(world, other, own)) {
    add(world.profile.streamWeight, `p${index} hears`, () => {
      settle(world, sidecar)
      hear(world, sidecar)
    })
  }
  const isListening = operator.isUp && !operator.isSuspended
  if (stream.up.length > 0 && isListening && carries(world, own, other)) {
    add(5, `o${operator.index} hears p${index}`, () => listen(world, operator, sidecar))
  }
}

function serverEvents(world: World, add: Add): void {
  for (const server of world.servers) {
    const { index, process } = server
    if (process === undefined) {
      add(0.8, `s${index} starts`, (random) => restart(world, server, random))
      continue
    }
    if (server.isSuspended) {
      add(0.8, `s${index} resumes`, () => {
        server.isSuspended = false
        note(world, () => `s${index} goes on`)
      })
      continue
    }
    if (process.isLoading) {
      add(2, `s${index} has loaded`, () => {
        process.isLoading = false
      })
      continue
    }
    if (world.profile.lossesMax > 0) add(0.2, `s${index} saves`, () => save(world, server))
    if (process.isPrimary) {
      if (refusal(world, server) === undefined) {
        add(0.15, `s${index} pings`, () => {
          append(process, 0)
          noteEnd(world, process)
        })
      }
      continue
    }
    if (process.source === 'parked') continue
    add(world.profile.replicationWeight, `s${index} replicates`, (random) => {
      replicate(world, server, random.chance(0.6) ? 1000 : 1)
      trackKept(world)
      dropLost(world)
    })
    if (process.linkRunId !== undefined) {
      const isCut = typeof process.source === 'number' && !carries(world, process.source, index)
      add(isCut ? 0.5 : world.profile.isCalm ? 0 : 0.05, `s${index} loses its link`, () =>
        dropLink(world, server),
      )
    }
  }
}

/** How long nothing happens before the next event. */
export function pauseMs(random: Random): number {
  const dice = random.next()
  if (dice < 0.55) return 0
  if (dice < 0.87) return random.next() * 30
  if (dice < 0.97) return random.next() * 400
  if (dice < 0.99) return random.next() * 2500
  return random.next() * 6000
}

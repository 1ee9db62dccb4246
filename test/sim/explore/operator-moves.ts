/** What an operator does in a small world; `moves.ts` says what is one move and why. */
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import { deliver, giveUp, stepTask } from './acts.ts'
import { longAgoMs, lostSinceMs } from './digest.ts'
import { startOperator, stopOperator } from './faults.ts'
import { type Add, type Faults, at } from './move.ts'
import { carries, clockOf, nodeOf } from './nodes.ts'
import { advance, listen, probe, watch } from './operator.ts'
import { Random } from '../random.ts'
import { report } from './sidecar.ts'
import type { OperatorProcess, Sidecar, World } from './types.ts'

const always = new Random(1)

export function operatorMoves(
  world: World,
  add: Add,
  { operator, faults }: { operator: OperatorProcess; faults: Faults },
): void {
  const { index } = operator
  const own = (next: World) => at(next.operators, index)
  if (!operator.isUp) {
    add('o starts', (next) => {
      startOperator(next, own(next), always)
      // Versions are drawn from the clock, which does not stand still while a process starts.
      own(next).wallSkewMs += 1000
    })
    return
  }
  add('o crashes', (next) => stopOperator(next, own(next)), 'operatorCrashes')
  if (operator.isSuspended) {
    add('o resumes', (next) => {
      own(next).isSuspended = false
    })
    return
  }
  if (faults.suspends.includes('operator')) {
    add(
      'o is suspended',
      (next) => {
        own(next).isSuspended = true
      },
      'suspensions',
    )
  }
  if (operator.stage === 'idle') turnMoves(world, add, { operator, faults })
  if (operator.stage === 'recorded') add('o publishes', (next) => finish(next, own(next)))
  if (operator.cache !== world.api.object) add('o watches', (next) => watch(next, own(next)))
  if (operator.task !== undefined) {
    add(`o goes on to ${operator.task.step}`, (next) => {
      stepTask(next, own(next))
      endTurn(next, own(next))
    })
  }
  for (const [each, command] of world.commands.entries()) commandMoves(world, add, each, command)
}

/** With or without a look at the servers, and with or without hearing what sidecars have to say. */
function turnMoves(
  world: World,
  add: Add,
  { operator, faults }: { operator: OperatorProcess; faults: Faults },
): void {
  const all = world.servers.map(({ index }) => index)
  const looks = [[], all, ...(faults.looksApart ? all.map((each) => [each]) : [])]
  for (const seen of looks) {
    const eyes = seen.length === 0 ? '' : `looks at ${seen.map((each) => `s${each}`).join(', ')}, `
    for (const { name, listenTo } of hearings(world)) {
      add(`o ${eyes}${name}takes its turn`, (next) => {
        const own = at(next.operators, operator.index)
        for (const each of seen) probe(next, own, each)
        listenTo(next)
        turn(next, own)
      })
    }
  }
}

interface Hearing {
  readonly name: string
  readonly listenTo: (world: World) => void
}

/** Of each sidecar nothing, or what it has said, or that and how it is now. */
function hearings(world: World): readonly Hearing[] {
  let all: readonly Hearing[] = [{ name: '', listenTo: () => undefined }]
  for (const sidecar of world.sidecars) {
    const own = hearingsOf(world, sidecar)
    all = all.flatMap((before) => [
      before,
      ...own.map(({ name, listenTo }) => ({
        name: before.name + name,
        listenTo: (next: World) => {
          before.listenTo(next)
          listenTo(next)
        },
      })),
    ])
  }
  return all
}

function hearingsOf(world: World, sidecar: Sidecar): readonly Hearing[] {
  const { index, stream } = sidecar
  const [operator] = world.operators
  if (stream === undefined || operator === undefined) return []
  if (!carries(world, nodeOf.sidecar(world, index), nodeOf.operator(world, 0))) return []
  const listenTo = (next: World) => {
    const own = at(next.sidecars, index)
    for (let count = own.stream?.up.length ?? 0; count > 0; count -= 1) {
      listen(next, at(next.operators, 0), own)
    }
  }
  const hearing = { name: `hears p${index}, `, listenTo }
  const reporting = {
    name: `hears p${index} and how it is, `,
    listenTo: (next: World) => {
      listenTo(next)
      report(next, at(next.sidecars, index))
      listenTo(next)
    },
  }
  return [
    ...(stream.up.length > 0 ? [hearing] : []),
    ...(hasNews(world, sidecar) ? [reporting] : []),
  ]
}

function commandMoves(
  world: World,
  add: Add,
  index: number,
  { body, server, isRun, operator }: World['commands'][number],
): void {
  const own = (next: World) => at(next.commands, index)
  const isReached =
    carries(world, nodeOf.operator(world, operator), server) &&
    world.servers[server]?.isSuspended === false
  if (!isRun && isReached) {
    add(`s${server} gets ${body.kind}`, (next) => {
      deliver(next, own(next))
      endTurn(next, at(next.operators, operator))
    })
    return
  }
  add(`${body.kind} for s${server} is given up`, (next) => {
    giveUp(next, own(next))
    endTurn(next, at(next.operators, operator))
  })
}

function turn(world: World, operator: OperatorProcess): void {
  advance(world, operator)
  if (stageOf(operator) !== 'observed') return
  advance(world, operator)
  const former = world.api.object
  advance(world, operator)
  if (stageOf(operator) !== 'recorded') return
  if (former === world.api.object || isSame(former.status, world.api.object.status)) {
    finish(world, operator)
  }
}

/** It changes under the hands of whoever asks. */
function stageOf(operator: OperatorProcess): OperatorProcess['stage'] {
  return operator.stage
}

function finish(world: World, operator: OperatorProcess): void {
  advance(world, operator)
  advance(world, operator)
  endTurn(world, operator)
}

function endTurn(world: World, operator: OperatorProcess): void {
  if (operator.stage === 'acting') advance(world, operator)
}

/** As far as anyone goes on from it. */
function isSame(a: RedisProxyStatus | undefined, b: RedisProxyStatus | undefined): boolean {
  return decided(a) === decided(b)
}

function decided(status: RedisProxyStatus | undefined): string {
  const { epoch, phase, primary, intent, guards, lastFailover, operation } = status ?? {}
  const joined = status?.members?.map((each) => each.joined === true)
  return JSON.stringify([epoch, phase, primary, intent, guards, lastFailover, operation, joined])
}

/** Whether a report would say anything that the operator has not heard from it and would go by. */
function hasNews(world: World, sidecar: Sidecar): boolean {
  const { index, config, heard, isFailing } = sidecar
  if (config === undefined) return false
  const known = world.operators[0]?.views[index]
  const shown = config.runId === undefined ? 'none' : isFailing ? 'failing' : 'ok'
  if (known?.primary !== shown) return true
  const sinceMs = lostSinceMs(world)
  if (sinceMs === undefined || heard?.epoch !== config.epoch || heard.atMs <= sinceMs) return false
  if (clockOf(world, sidecar) - heard.atMs >= longAgoMs) return false
  return known.heardEpoch !== heard.epoch || known.heardAtMs !== heard.atMs
}

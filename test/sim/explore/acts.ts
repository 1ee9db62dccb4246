/** Actions of a plan as commands on their way: run and answered, run without an answer, not run, or run late. */
import { assertNever } from '../../../common/errors.ts'
import type { Action } from '../../../operator/controller/plan/types.ts'
import { leads } from './lease.ts'
import { carries, carriesBoth, clockOf, indexOf, nodeOf, note } from './nodes.ts'
import { follow, offsetOf, promote } from './server.ts'
import { checkPromotion, dropLost, mayStillWrite, noteEnd } from './truth.ts'
import {
  type Command,
  type CommandBody,
  type OperatorProcess,
  type Order,
  type Process,
  type Server,
  type SourceRef,
  type Task,
  Violation,
  type World,
} from './types.ts'

export function beginActs(world: World, operator: OperatorProcess): void {
  const { plan } = operator
  operator.stage = 'acting'
  operator.touched = []
  if (plan === undefined || !leads(world, operator)) return
  for (const action of plan.actions) begin(world, operator, action)
}

function begin(world: World, operator: OperatorProcess, action: Action): void {
  const index = indexOf(action.address)
  if (index === undefined) return
  operator.touched = [...operator.touched, index]
  if (action.kind === 'handOver') {
    const to = indexOf(action.to.address)
    if (to !== undefined) operator.touched = [...operator.touched, to]
    const beganMs = clockOf(world, operator)
    operator.task = { action, step: 'inspect', beganMs, offset: 0, replId: '' }
    return
  }
  const [first, ...rest] = commandsOf(operator, action, index)
  if (first !== undefined) issue(world, operator, first, rest)
}

function issue(
  world: World,
  operator: OperatorProcess,
  order: Order,
  next: readonly Order[] = [],
): void {
  world.nextId += 1
  const id = world.nextId
  const command = { ...order, id, operator: operator.index, next, isOrphan: false, isRun: false }
  world.commands = [...world.commands, command]
  operator.waitsFor = [...operator.waitsFor, id]
}

function commandsOf(operator: OperatorProcess, action: Action, server: number): readonly Order[] {
  const { runId } = action
  const one = (body: CommandBody): readonly Order[] => [{ server, runId, body }]
  switch (action.kind) {
    case 'park':
      return one({ kind: 'follow', source: 'parked' })
    case 'replicate':
      return one({ kind: 'follow', source: sourceOf(action.source.host) })
    case 'promote':
      return one({ kind: 'promote' })
    case 'unpause':
      return one({ kind: 'unpause' })
    case 'minReplicas':
      return one({ kind: 'minReplicas', count: action.count })
    case 'unprotect':
      return one({ kind: 'sourceUser', user: '', password: '' })
    case 'protect': {
      const { user, replicas } = action
      const { password } = operator
      const others = replicas.flatMap(({ address, runId: replica }): readonly Order[] => {
        const index = indexOf(address)
        if (index === undefined) return []
        return [{ server: index, runId: replica, body: { kind: 'sourceUser', user, password } }]
      })
      return [...one({ kind: 'setUser', user, password }), ...others]
    }
    case 'handOver':
    case 'clusterFailover':
      throw new Error(`${action.kind} is no single command`)
    default:
      return assertNever(action)
  }
}

function sourceOf(host: string): SourceRef {
  return indexOf(host) ?? 'parked'
}

/** It arrives, and its answer may. */
export function deliver(world: World, command: Command): void {
  const server = world.servers[command.server]
  if (command.isRun) return
  if (server?.process?.runId !== command.runId) {
    forget(world, command)
    return
  }
  const node = nodeOf.operator(world, command.operator)
  if (server.isSuspended || !carries(world, node, command.server)) return
  const isObeyed = run(world, server, command.body)
  note(
    world,
    () =>
      `s${server.index} obeys ${JSON.stringify(command.body)} of o${command.operator}${command.isOrphan ? ', late' : ''}`,
  )
  if (!command.isOrphan && !carries(world, command.server, node)) {
    // Run, and the operator will give up waiting for the answer.
    world.commands = world.commands.map((each) =>
      each.id === command.id ? { ...each, isRun: true } : each,
    )
    return
  }
  forget(world, command)
  const operator = world.operators[command.operator]
  if (operator === undefined || command.isOrphan || !isObeyed) return
  for (const order of command.next) issue(world, operator, order)
}

/** Nobody waits for it any more; it may be on its way nevertheless. */
export function giveUp(world: World, command: Command): void {
  const operator = world.operators[command.operator]
  if (operator !== undefined) {
    operator.waitsFor = operator.waitsFor.filter((id) => id !== command.id)
  }
  world.commands =
    world.profile.hasLateCommands && !command.isRun
      ? world.commands.map((each) => (each.id === command.id ? { ...each, isOrphan: true } : each))
      : world.commands.filter(({ id }) => id !== command.id)
}

export function forget(world: World, command: Command): void {
  world.commands = world.commands.filter(({ id }) => id !== command.id)
  const operator = world.operators[command.operator]
  if (operator === undefined) return
  operator.waitsFor = operator.waitsFor.filter((id) => id !== command.id)
}

/** @returns whether the server obeyed */
function run(world: World, server: Server, body: CommandBody): boolean {
  const own = server.process
  if (own === undefined || own.isLoading) return false
  switch (body.kind) {
    case 'follow': {
      if (world.mutations.has('parking skipped') && body.source === 'parked') return true
      noteEnd(world, own)
      follow(world, server, body.source)
      break
    }
    case 'promote':
      checkPromotion(world, server.index)
      promote(world, server)
      break
    case 'pause':
      own.pausedUntilMs = world.nowMs + body.forMs / server.rate
      break
    case 'unpause':
      own.pausedUntilMs = Number.NEGATIVE_INFINITY
      break
    case 'setUser':
      own.users = {
        ...own.users,
        [body.user]: [...new Set([...(own.users[body.user] ?? []), body.password])],
      }
      break
    case 'sourceUser':
      logIn(world, server, body.user, body.password)
      break
    case 'minReplicas':
      own.minReplicas = body.count
      break
  }
  dropLost(world)
  return true
}

function logIn(_world: World, server: Server, user: string, password: string): void {
  const own = server.process
  if (own === undefined) return
  own.sourceUser = user
  own.sourcePassword = password
}

/** The next step of a planned change, after `operator/backend/handover.ts`. */
export function stepTask(world: World, operator: OperatorProcess): void {
  const { task } = operator
  if (task === undefined) return
  const from = serverOf(world, operator, task.action.address, task.action.runId)
  const to = serverOf(world, operator, task.action.to.address, task.action.to.runId)
  const elapsedMs = clockOf(world, operator) - task.beganMs
  const isLate = elapsedMs >= task.action.timeoutMs
  switch (task.step) {
    case 'inspect':
      return inspect(world, operator, { task, from, to })
    case 'pause': {
      if (from?.process === undefined) return stop(operator)
      run(world, from, { kind: 'pause', forMs: task.action.timeoutMs })
      const { replId } = from.process
      go(world, operator, { ...task, step: 'compare', offset: offsetOf(from.process), replId })
      if (!from.process.isPrimary) undo(world, operator, from)
      return
    }
    case 'compare':
      return compare(world, operator, {
        task,
        from,
        to,
        isLate: elapsedMs >= task.action.timeoutMs / 2,
      })
    case 'promote': {
      if (to?.process === undefined) return isLate ? stop(operator) : undefined
      checkHandover(world, task, to)
      run(world, to, { kind: 'promote' })
      return go(world, operator, { ...task, step: 'demote' })
    }
    case 'demote': {
      if (from?.process === undefined) return isLate ? stop(operator) : undefined
      run(world, from, { kind: 'follow', source: sourceOf(task.action.to.host) })
      return go(world, operator, { ...task, step: 'unpause' })
    }
    case 'unpause':
      if (from !== undefined) run(world, from, { kind: 'unpause' })
      return stop(operator)
  }
}

interface Pair {
  readonly task: Task
  readonly from: Server | undefined
  readonly to: Server | undefined
}

function inspect(world: World, operator: OperatorProcess, { task, from, to }: Pair): void {
  const old = from?.process
  const next = to?.process
  if (old === undefined || next === undefined) return stop(operator)
  if (next.isPrimary) {
    if (next.replId2 !== old.replId && next.replId !== old.replId) return stop(operator)
    return old.isPrimary ? go(world, operator, { ...task, step: 'pause' }) : stop(operator)
  }
  if (!old.isPrimary || obstacle(next, old)) return stop(operator)
  go(world, operator, { ...task, step: 'pause' })
}

function obstacle(replica: Process, primary: Process): boolean {
  return (
    replica.linkRunId === undefined ||
    replica.syncStepsLeft > 0 ||
    replica.replId !== primary.replId
  )
}

function compare(
  world: World,
  operator: OperatorProcess,
  { task, from, to, isLate }: Pair & { isLate: boolean },
): void {
  const next = to?.process
  if (next !== undefined && from?.process !== undefined) {
    if (next.isPrimary) {
      const whole = next.replId === task.replId ? offsetOf(next) : next.secondReplOffset - 1
      if (whole < task.offset) return undo(world, operator, from)
      return go(world, operator, { ...task, step: 'demote' })
    }
    const isThere =
      !obstacle(next, { ...from.process, replId: task.replId }) && offsetOf(next) >= task.offset
    if (isThere || world.mutations.has('switched before it caught up')) {
      return go(world, operator, { ...task, step: 'promote' })
    }
  }
  if (isLate) undo(world, operator, from)
}

function undo(world: World, operator: OperatorProcess, from: Server | undefined): void {
  if (from !== undefined) run(world, from, { kind: 'unpause' })
  stop(operator)
}

function go(_world: World, operator: OperatorProcess, task: Task): void {
  operator.task = task
}

function stop(operator: OperatorProcess): void {
  operator.task = undefined
}

/** A planned change is made only while nobody can write to the old one. */
function checkHandover(world: World, task: Task, to: Server): void {
  const { process } = to
  if (process === undefined || process.isPrimary) return
  const index = indexOf(task.action.address)
  const old = index === undefined ? undefined : world.servers[index]?.process
  if (old === undefined || index === undefined) return
  const writer = mayStillWrite(world, old, index)
  if (writer === undefined) return
  throw new Violation(
    'true proof',
    `s${to.index} takes over while ${writer} can write to s${index}`,
  )
}

/** The server behind an address, if it can be reached and is the process that is meant. */
function serverOf(
  world: World,
  operator: OperatorProcess,
  address: string,
  runId: string,
): Server | undefined {
  const index = indexOf(address)
  const server = index === undefined ? undefined : world.servers[index]
  if (server?.process?.runId !== runId || server.isSuspended) return undefined
  const node = nodeOf.operator(world, operator.index)
  return carriesBoth(world, node, server.index) ? server : undefined
}

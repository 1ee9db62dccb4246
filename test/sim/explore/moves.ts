/**
 * What may happen next in a small world, each with how much of it is left. Steps that nobody else can see in between are
 * one move, for in whatever order the rest of the world moves meanwhile, it comes out the same:
 *
 * - A turn looks or does not, and hears or does not, at its begin: what an operator learned and has not yet gone by is
 *   known to nobody else.
 * - Looking, planning and recording: a plan is made of what this operator holds, and nobody but it reads the record. What
 *   happens meanwhile could as well happen after it. The same goes for publishing and sending the commands: those that are
 *   on their way end with their operator. Between the record and its publication everything may happen.
 * - A turn that decides nothing new is one move from its begin to its commands; it ends as soon as nothing is waited for.
 * - A new stream and the configuration that comes first on it.
 *
 * There is one operator, and time stands still but for moves of its own.
 */
import { longAgoMs } from './digest.ts'
import type { Add, Faults, Left, Move } from './move.ts'
import { addressOf, cut } from './nodes.ts'
import { operatorMoves } from './operator-moves.ts'
import { serverMoves, sidecarMoves, writeMoves } from './peer-moves.ts'
import type { World } from './types.ts'

export function movesOf(world: World, left: Left, faults: Faults): readonly Move[] {
  const moves: Move[] = []
  const add: Add = (name, run, uses) => {
    if (uses === undefined) moves.push({ name, run })
    else if (left[uses] > 0) moves.push({ name, run, uses })
  }
  for (const operator of world.operators) operatorMoves(world, add, { operator, faults })
  for (const sidecar of world.sidecars) sidecarMoves(world, add, { sidecar, faults })
  writeMoves(world, add)
  for (const server of world.servers) serverMoves(world, add, { server, faults })
  networkMoves(world, add, faults)
  add(`${faults.shortMs} ms pass`, (next) => pass(next, faults.shortMs), 'shortPauses')
  if (!faults.isPrompt) add('long passes', (next) => pass(next, longAgoMs))
  return moves
}

function pass(world: World, forMs: number): void {
  world.nowMs += forMs
}

function networkMoves(world: World, add: Add, { cuts }: Faults): void {
  for (const { name, pairs, how = 'silent' } of cuts) {
    add(
      `cut: ${name}`,
      (next) => {
        for (const [from, to] of pairs(next)) cut(next, from, to, how)
      },
      'cuts',
    )
  }
  if (world.cuts.some((each) => each !== 0)) add('mended', (next) => void next.cuts.fill(0))
  const { operation, object } = world.api
  const isOver = operation === undefined || object.status?.operation?.phase !== 'Running'
  if (!isOver) return
  const ask = (next: World) => {
    next.api.operationCount += 1
    const name = `operation-${next.api.operationCount}`
    next.api.operation = { name, kind: 'Switchover', to: addressOf(1), accept: [] }
  }
  add('a switchover is asked for', ask, 'switchovers')
}

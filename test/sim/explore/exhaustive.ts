/**
 * Every interleaving of a small world: from a world in order, each move that there is is made, and from there each again,
 * until nothing new is met. Breadth first, so that what is found is short.
 *
 * Besides the invariants, which are checked wherever they could break: whatever state the world is in, it can come back in
 * order without anything else going wrong; from a sample it does, in fair rounds; and of worlds that are taken for the same
 * a sample is made sure to move alike.
 */
import { Digester } from './digest.ts'
import { isInOrder, recover } from './history.ts'
import type { Faults, Left, Move } from './move.ts'
import { movesOf } from './moves.ts'
import { type Scope, begin, faultsOf, leftOf } from './scopes.ts'
import { StateTable, Numbers } from './table.ts'
import { Violation, type World } from './types.ts'

export interface Result {
  readonly states: number
  readonly transitions: number
  readonly depth: number
  /** Whether nothing is left to be met. */
  readonly isComplete: boolean
  /** States from which fair rounds brought the world back in order. */
  readonly settled: number
  /** Pairs of worlds that were taken for the same and were seen to move alike. */
  readonly compared: number
  readonly violation?: string
  readonly path: readonly string[]
}

export interface Options {
  readonly statesMax: number
  readonly mutations?: readonly string[]
  /** Of so many states one is brought back in order, and one kept to be compared. 0: none is. */
  readonly sampleEvery?: number
  /** Fields that the digest leaves out by mistake. */
  readonly overlooked?: readonly string[]
}

interface Node {
  readonly world: World
  readonly left: Left
  readonly index: number
}

const notYet = -1

export function exhaust(scope: Scope, options: Options): Result {
  return new Exploration(scope, options).run()
}

class Exploration {
  private readonly scope: Scope
  private readonly options: Options
  private readonly faults: Faults
  private readonly first: World
  private readonly digester: Digester
  private readonly table = new StateTable()
  /** By state: the one that it was met from, and which of its moves led here. */
  private readonly parents = new Numbers()
  private readonly turns = new Numbers()
  /** Moves that are no faults, as pairs of states. */
  private readonly edges = new Numbers()
  private readonly inOrder: number[] = []
  private readonly kept = new Map<number, Node & { comparisons: number }>()
  private transitions = 0
  private settled = 0
  private compared = 0

  constructor(scope: Scope, options: Options) {
    this.scope = scope
    this.options = options
    this.faults = faultsOf(scope)
    this.first = begin(scope, options.mutations ?? [])
    this.digester = new Digester(this.first.nextId, options.overlooked)
  }

  run(): Result {
    const left = leftOf(this.scope)
    this.parents.push(notYet)
    this.turns.push(notYet)
    this.table.add(this.digester.of(this.first, left))
    let level: Node[] = [{ world: this.first, left, index: 0 }]
    for (let depth = 0; level.length > 0; depth += 1) {
      const next: Node[] = []
      for (const node of level) {
        const broken = this.goOn(node, next)
        if (broken !== undefined) return this.result(depth, { isComplete: false, ...broken })
        if (this.table.size >= this.options.statesMax) {
          return this.result(depth, { isComplete: false })
        }
      }
      level = next
      if (level.length === 0) return this.finish(depth)
    }
    throw new Error('a level without states was gone on from')
  }

  /** Makes every move. @returns what broke */
  private goOn(node: Node, next: Node[]): Broken | undefined {
    const moves = movesOf(node.world, node.left, this.faults)
    const unsound = this.look(node)
    if (unsound !== undefined) return { violation: unsound, path: this.path(node.index) }
    for (const [turn, move] of moves.entries()) {
      this.transitions += 1
      const world = copy(node.world)
      const broken = happen(world, move)
      if (broken !== undefined) return { violation: broken, path: this.path(node.index, move) }
      const left = spend(node.left, move)
      const digest = this.digester.of(world, left)
      const known = this.table.find(digest)
      const index = known ?? this.table.add(digest)
      if (move.uses === undefined && index !== node.index) this.edges.push(node.index, index)
      if (known !== undefined) {
        const unlike = this.compare(known, { world, left, index })
        if (unlike !== undefined) return { violation: unlike, path: this.path(node.index, move) }
        continue
      }
      this.parents.push(node.index)
      this.turns.push(turn)
      const met: Node = { world, left, index }
      next.push(met)
      const stuck = this.sample(met)
      if (stuck !== undefined) return { violation: stuck, path: this.path(node.index, move) }
    }
    return undefined
  }

  /** Once all is well again, nothing is gone that had to be kept. */
  private look({ world, index }: Node): string | undefined {
    try {
      if (isInOrder(world)) this.inOrder.push(index)
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  }

  private sample(node: Node): string | undefined {
    const { sampleEvery = 97 } = this.options
    if (sampleEvery === 0 || node.index % sampleEvery !== 0) return undefined
    if (this.kept.size < keptMax) this.kept.set(node.index, { ...node, comparisons: 0 })
    const world = copy(node.world)
    try {
      recover(world)
      this.settled += 1
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  }

  /** Two worlds that are taken for the same must have the same moves, with the same outcomes. */
  private compare(known: number, node: Node): string | undefined {
    const other = this.kept.get(known)
    if (other === undefined || node.world === other.world) return undefined
    other.comparisons += 1
    if (other.comparisons >= comparisonsMax) this.kept.delete(known)
    this.compared += 1
    const [a, b] = [other, node].map((each) => this.outcomes(each))
    const unlike = a?.findIndex((outcome, turn) => outcome !== b?.[turn]) ?? 0
    if (unlike < 0 && a?.length === b?.length) return undefined
    return `digest: two worlds are taken for the same, and one does "${a?.[unlike]}", the other "${b?.[unlike]}"`
  }

  private outcomes({ world, left }: Node): readonly string[] {
    return movesOf(world, left, this.faults).map((move) => {
      const next = copy(world)
      const broken = happen(next, move)
      if (broken !== undefined) return `${move.name}: ${broken}`
      const { high, low } = this.digester.of(next, spend(left, move))
      return `${move.name}: ${high} ${low}`
    })
  }

  /** Everything was met: from where can no order come any more? */
  private finish(depth: number): Result {
    const lost = this.lostState()
    if (lost === undefined) return this.result(depth, { isComplete: true })
    const violation = `converges: nothing that may happen without another fault brings it back in order`
    return this.result(depth, { isComplete: true, violation, path: this.path(lost) })
  }

  private lostState(): number | undefined {
    const reached = backward(this.edges, { from: this.inOrder, count: this.table.size })
    const lost = reached.indexOf(0)
    return lost < 0 ? undefined : lost
  }

  private result(depth: number, rest: Partial<Result> & { isComplete: boolean }): Result {
    const { transitions, settled, compared } = this
    return { states: this.table.size, transitions, depth, settled, compared, path: [], ...rest }
  }

  /** Names of the moves that lead to a state, made once more. */
  private path(index: number, last?: Move): string[] {
    const turns: number[] = []
    for (let each = index; each !== 0; each = this.parents.at(each)) {
      turns.unshift(this.turns.at(each))
    }
    const names: string[] = []
    let world = this.first
    let left = leftOf(this.scope)
    for (const turn of turns) {
      const move = movesOf(world, left, this.faults)[turn]
      if (move === undefined) throw new Error('a path cannot be gone again')
      world = copy(world)
      happen(world, move)
      left = spend(left, move)
      names.push(move.name)
    }
    return last === undefined ? names : [...names, last.name]
  }
}

interface Broken {
  readonly violation: string
  readonly path: readonly string[]
}

const keptMax = 4000
/** Of one that was kept. */
const comparisonsMax = 8

function spend(left: Left, { uses }: Move): Left {
  return uses === undefined ? left : { ...left, [uses]: left[uses] - 1 }
}

/** @returns which invariant broke */
function happen(world: World, move: Move): string | undefined {
  try {
    move.run(world)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function messageOf(error: unknown): string {
  if (error instanceof Violation) return error.message
  return error instanceof Error ? String(error.stack) : String(error)
}

/** One byte for each state: whether one of `from` can be reached from it. */
function backward(
  edges: Numbers,
  { from, count }: { readonly from: readonly number[]; readonly count: number },
): Uint8Array {
  const heads = new Int32Array(count + 1)
  for (let each = 1; each < edges.length; each += 2) heads[edges.at(each) + 1]! += 1
  for (let each = 0; each < count; each += 1) heads[each + 1]! += heads[each]!
  const sources = new Int32Array(edges.length / 2)
  const fill = heads.slice()
  for (let each = 0; each < edges.length; each += 2) {
    sources[fill[edges.at(each + 1)]!++] = edges.at(each)
  }
  const reached = new Uint8Array(count)
  const queue = [...from]
  for (const each of from) reached[each] = 1
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    for (let each = heads[state]!; each < heads[state + 1]!; each += 1) {
      const source = sources[each]!
      if (reached[source] === 1) continue
      reached[source] = 1
      queue.push(source)
    }
  }
  return reached
}

/** Values that never change are shared; what does is copied. */
export function copy(world: World): World {
  return {
    ...world,
    servers: world.servers.map((each) => ({
      ...each,
      process: each.process && { ...each.process },
    })),
    sidecars: world.sidecars.map((each) => ({ ...each })),
    operators: world.operators.map((each) => ({ ...each })),
    api: { ...world.api },
    cuts: world.cuts.slice(),
    truth: {
      ...world.truth,
      counts: { ...world.truth.counts, proofs: { ...world.truth.counts.proofs } },
    },
  }
}
